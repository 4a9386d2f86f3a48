"""meta.pt: what is saved comes back, and nothing else is read or runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import os
from pathlib import Path
import pickle
import socket
import stat
from typing import Any
import zipfile

import numpy as np
import optuna
import pytest
import torch

from optuna_tnas import DatasetSample
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import CheckpointError
from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate.features import LatentMap
from optuna_tnas.surrogate.past import PastStudies
from tests.fuzz import fuzz
from tests.fuzz import tiny
from tests.small_config import SMALL


CONFIG = replace(SMALL, architecture_dim=4, joint_layers=(8, 4))  # nothing has its default


def make(space: Space | None = None, seed: int = 1) -> MetaSurrogate:
    """A surrogate in which nothing has its default value."""
    surrogate = MetaSurrogate(space or NASBench201Space(), CONFIG, n_features=5, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        surrogate.network.dataset_encoder.unknown.normal_(generator=generator)
        surrogate.network.dataset_encoder.feature_mean.normal_(generator=generator)
        surrogate.network.dataset_encoder.feature_scale.uniform_(0.5, 2, generator=generator)
        surrogate.network.mean.constant.fill_(0.3)
        surrogate.network.likelihood.noise = 0.07
    surrogate.warm_starts = (surrogate.space.sample(4, np.random.default_rng(0)),)
    surrogate.past = PastStudies(
        X=surrogate.space.sample(7, np.random.default_rng(1)),
        study_index=np.repeat([0, 1], [3, 4]),
        dataset_encodings=torch.randn(2, CONFIG.dataset_dim, generator=generator),
        alpha=torch.randn(2, 7, generator=generator, dtype=torch.double),
    )
    surrogate.provenance = {"tasks": {"a": 3, "b": 4}, "losses": {"train": 0.5}, "seed": seed}
    return surrogate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "meta.pt"
    make().save(path)
    return path


@pytest.fixture
def content(path: Path) -> dict[str, Any]:
    """The plain data of a good checkpoint, to be spoiled."""
    return torch.load(path, weights_only=True)


def refused(path: Path, text: str = "") -> str:
    with pytest.raises(CheckpointError, match=f"(?s){text}") as error:
        MetaSurrogate.load(path)
    message = str(error.value)
    assert str(path) in message
    assert "weights_only" not in message  # torch's advice is how to run foreign code
    return message


# --- what is saved comes back ---------------------------------------------------------------


@pytest.mark.parametrize("kind", [NASBench201Space, MobileNetV3Space])
def test_everything_comes_back(tmp_path: Path, kind: Callable[[], Space]) -> None:
    surrogate = make(kind())
    surrogate.save(tmp_path / "meta.pt")
    loaded = MetaSurrogate.load(tmp_path / "meta.pt")
    X = surrogate.space.sample(20, np.random.default_rng(1))
    points = np.random.default_rng(2).standard_normal((9, 5))
    for sample in (None, DatasetSample.from_features(points, np.arange(9) % 3)):
        latents = [LatentMap(s.network, sample)(X) for s in (loaded, surrogate)]
        assert torch.equal(*latents)
        features = loaded.study_model(sample).features
        assert torch.equal(features(X), surrogate.study_model(sample).features(X))
        assert features(X)[:, features.blocks.predictions].sum(dim=1).any()
    assert loaded.network.hyperparameters == surrogate.network.hyperparameters
    assert loaded.config == surrogate.config
    assert loaded.space.fingerprint == surrogate.space.fingerprint
    assert loaded.space.distributions() == surrogate.space.distributions()
    assert (loaded.warm_starts[0] == surrogate.warm_starts[0]).all()
    assert loaded.warm_starts[0].dtype == np.int64
    assert loaded.provenance == surrogate.provenance
    assert loaded.summary() == surrogate.summary()
    assert not loaded.network.training


def suggestions(sampler: TNASSampler) -> list[dict[str, Any]]:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space = sampler.space
    study.optimize(lambda trial: float(space.encode(space.suggest(trial)).sum()), n_trials=8)
    return [trial.params for trial in study.trials]


def test_a_loaded_surrogate_suggests_the_same(path: Path) -> None:
    assert suggestions(TNASSampler.load(path, seed=0)) == suggestions(TNASSampler(make(), seed=0))


def test_a_saved_surrogate_can_be_saved_again(path: Path, tmp_path: Path) -> None:
    MetaSurrogate.load(path).save(tmp_path / "again.pt")
    first, second = (torch.load(p, weights_only=True) for p in (path, tmp_path / "again.pt"))
    assert first.keys() == second.keys()
    assert first["weights"].keys() == second["weights"].keys()
    assert all(torch.equal(w, second["weights"][name]) for name, w in first["weights"].items())
    assert first["space"] == second["space"]


def test_paths_may_be_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make().save("meta.pt")
    assert MetaSurrogate.load("meta.pt").provenance["seed"] == 1


def test_loading_needs_no_network(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    MetaSurrogate.load(path)


def test_content_is_plain_data(content: dict[str, Any]) -> None:
    def check(value: Any) -> None:
        assert type(value) in (dict, list, tuple, str, int, float, bool, type(None), torch.Tensor)
        if isinstance(value, dict):
            for key, inner in value.items():
                check(key)
                check(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                check(inner)

    check({**content, "weights": dict(content["weights"])})


# --- saving ---------------------------------------------------------------------------------


def test_others_may_read_the_file(path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_nothing_but_the_checkpoint_is_left(path: Path) -> None:
    make(seed=2).save(path)
    assert list(path.parent.iterdir()) == [path]
    assert MetaSurrogate.load(path).provenance["seed"] == 2


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("error", [OSError("No space left on device"), Interrupted()])
def test_a_failed_save_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = path.read_bytes()

    def fail(file: Path, content: bytes) -> None:
        with open(file, "wb") as half:
            half.write(b"half of it")
        raise error

    monkeypatch.setattr(Path, "write_bytes", fail)
    expected = CheckpointError if isinstance(error, OSError) else Interrupted
    with pytest.raises(expected):
        make(seed=2).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def not_plain(surrogate: MetaSurrogate) -> None:
    surrogate.provenance = {"loss": np.float64(0.5)}


def not_finite(surrogate: MetaSurrogate) -> None:
    surrogate.network.dataset_encoder.unknown[0] = float("nan")


def outside_the_space(surrogate: MetaSurrogate) -> None:
    surrogate.warm_starts = (np.full((1, 6), 5),)


@pytest.mark.parametrize("spoil", [not_plain, not_finite, outside_the_space])
def test_what_could_not_be_read_back_is_not_written(
    path: Path, spoil: Callable[[MetaSurrogate], None]
) -> None:
    before = path.read_bytes()
    surrogate = make()
    spoil(surrogate)
    with pytest.raises(CheckpointError):
        surrogate.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_unwritable_targets_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "missing" / "m.pt", tmp_path / "file" / "m.pt", tmp_path / "folder"):
        with pytest.raises(CheckpointError, match="cannot be written") as error:
            make().save(target)
        assert str(target) in str(error.value)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


# --- damaged, foreign and malicious files ---------------------------------------------------


def test_missing_files_are_named(tmp_path: Path) -> None:
    refused(tmp_path / "meta.pt", "no such file")
    refused(tmp_path, "no such file")  # a folder
    with pytest.raises(CheckpointError, match=r"'nasbench202'.*shipped"):
        MetaSurrogate.load("nasbench202")


@pytest.mark.parametrize("part", [0, 1, 4, 100, 0.1, 0.5, 0.9, 0.999, -1, -22, -200])
def test_truncated_files_are_refused(path: Path, part: float) -> None:
    whole = path.read_bytes()
    length = int(part * len(whole)) if 0 < part < 1 else int(part)
    path.write_bytes(whole[:length])
    refused(path, "damaged")


def test_flipped_bits_never_change_a_weight(path: Path) -> None:
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    expected = make().network.state_dict()
    n_refused = 0
    for position in rng.integers(len(whole), size=150):
        spoiled = bytearray(whole)
        spoiled[position] ^= 1 << rng.integers(8)
        path.write_bytes(spoiled)
        try:
            loaded = MetaSurrogate.load(path).network.state_dict()
        except CheckpointError as error:
            assert str(path) in str(error)
            n_refused += 1
        else:  # the bit was one of the padding's
            assert all(torch.equal(value, expected[name]) for name, value in loaded.items())
    assert n_refused > 75


def test_random_mutations_are_sound_or_refused(tmp_path: Path) -> None:
    """``python -m tests.fuzz N SEED`` tries more; a file that fails stays in the folder."""
    outcomes = fuzz(400, 0, tmp_path)
    assert outcomes.total() == 400
    assert len(outcomes) >= 4  # several layers refuse
    assert outcomes["sound"] < 40


def test_what_is_mutated_has_content_of_every_kind() -> None:
    def check(content: Any) -> None:
        if isinstance(content, dict | list | tuple | torch.Tensor):
            assert len(content) if not torch.is_tensor(content) else content.numel()
        if isinstance(content, dict | list | tuple):
            for part in content.values() if isinstance(content, dict) else content:
                check(part)

    state = tiny().state()
    check(state)
    assert state["past"]["beside"].keys() == {"distributions", "coordinates", "scales", "alpha"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"(",
        b".",
        b"lr: 0.1\n",
        b'{"a": 1}',
        b"\0" * 1000,
        bytes(range(256)),
        b"PK\3\4",
    ],
)
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path, "not a checkpoint")


def test_other_zip_files_are_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "mine")
    refused(path, "not a checkpoint")


@pytest.mark.parametrize("other", [{"epoch": 3}, [1, 2], torch.zeros(3), {"format": "other"}])
def test_other_torch_files_are_refused(path: Path, other: Any) -> None:
    torch.save(other, path)
    refused(path, "a PyTorch file, but not a checkpoint of optuna-tnas")


def test_pickled_objects_are_refused(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)
    refused(path, "more than plain data")
    with open(path, "wb") as file:
        pickle.dump({"format": "optuna-tnas"}, file)
    refused(path, "not a checkpoint")


class Malicious:
    """Runs a shell command wherever it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("where", ["format", "weights", "provenance", "whole", "old format"])
def test_malicious_files_run_nothing(path: Path, content: dict[str, Any], where: str) -> None:
    trace = path.parent / "trace"
    payload = Malicious(f"touch {trace}")
    spoiled = payload if where in ("whole", "old format") else {**content, where: payload}
    torch.save(spoiled, path, _use_new_zipfile_serialization=where != "old format")
    refused(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the payload does work
    assert trace.exists()


# --- good files with bad content ------------------------------------------------------------


def test_version_3_knows_one_metric(path: Path, content: dict[str, Any]) -> None:
    expected = MetaSurrogate.load(path)
    ((_, warm_start),) = content.pop("metrics")
    del content["past"]["metrics"]
    torch.save({**content, "version": 3, "warm_start": warm_start, "metric": "accuracy"}, path)
    loaded = MetaSurrogate.load(path)
    assert loaded.metrics == ("accuracy",)
    np.testing.assert_array_equal(loaded.warm_starts[0], expected.warm_starts[0])
    assert suggestions(TNASSampler(loaded, seed=0)) == suggestions(TNASSampler(expected, seed=0))


def test_several_metrics_come_back(path: Path) -> None:
    surrogate = MetaSurrogate.load(path)
    surrogate.metrics = ("accuracy", "latency")
    surrogate.warm_starts = (surrogate.warm_starts[0], surrogate.warm_starts[0][::-1].copy())
    surrogate.past = replace(surrogate.past, metrics=(1, 0))
    surrogate.save(path)
    loaded = MetaSurrogate.load(path)
    assert loaded.metrics == surrogate.metrics and loaded.past.metrics == (1, 0)
    for one, other in zip(loaded.warm_starts, surrogate.warm_starts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_past_studies_of_unknown_metrics_are_refused(path: Path, content: dict[str, Any]) -> None:
    past = {**content["past"], "metrics": [0, 1]}
    torch.save({**content, "past": past}, path)
    refused(path, "metrics that are not there")


@pytest.mark.parametrize("version", [5, 2, None, "3"])
def test_other_versions_are_refused(path: Path, content: dict[str, Any], version: Any) -> None:
    torch.save({**content, "version": version}, path)
    refused(path, f"version {version!r}.*upgrade")


@pytest.mark.parametrize("key", ["version", "format"])
def test_a_tensor_as_version_is_refused(path: Path, content: dict[str, Any], key: str) -> None:
    torch.save({**content, key: torch.ones(2, 3)}, path)
    refused(path, key if key == "version" else "not a checkpoint")


@pytest.mark.parametrize(
    "key",
    ["space", "config", "n_features", "weights", "metrics", "past", "agreement", "provenance"],
)
def test_incomplete_content_is_refused(path: Path, content: dict[str, Any], key: str) -> None:
    torch.save({k: v for k, v in content.items() if k != key}, path)
    refused(path, f"incomplete.*{key}")
    for value in (3.5, "x", [1], *([None] if key != "past" else [])):
        torch.save({**content, key: value}, path)
        refused(path, "inconsistent")


def spoiled_weights(content: dict[str, Any], change: Callable[[torch.Tensor], Any]) -> Any:
    name = "kernel.network.0.weight"
    return {**content, "weights": {**content["weights"], name: change(content["weights"][name])}}


def test_weights_of_another_shape_are_refused(path: Path, content: dict[str, Any]) -> None:
    torch.save(spoiled_weights(content, lambda w: w[:, 1:].clone()), path)
    refused(path, "size mismatch")
    torch.save({**content, "n_features": 6}, path)
    refused(path, "size mismatch")


def test_sizes_beyond_the_weights_are_refused_before_they_take_memory(
    path: Path, content: dict[str, Any]
) -> None:
    """Hundreds of gigabytes, also if the weights pretend to be as large."""
    width, name = 1 << 18, "architecture_encoder.forward_walk.cell.weight_hh"
    content["config"]["architecture_hidden"] = width
    torch.save(content, path)
    refused(path, "size mismatch")
    content["config"]["architecture_hidden"] = 8
    content["weights"][name] = torch.zeros(1, 1).expand(24, 8)
    torch.save(content, path)
    refused(path, "size mismatch")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["kernel.network.0.weight", "dataset_encoder.feature_scale"])
def test_weights_that_are_not_finite_are_refused(
    path: Path, content: dict[str, Any], name: str, value: float
) -> None:
    weight = content["weights"][name].clone()
    weight.flatten()[0] = value
    torch.save({**content, "weights": {**content["weights"], name: weight}}, path)
    refused(path, "NaN or infinite")


@pytest.mark.parametrize(
    "rows", [torch.full((1, 6), 5), torch.full((1, 6), -1), torch.zeros(2, 5), torch.zeros(2, 3)]
)
def test_warm_starts_outside_the_space_are_refused(
    path: Path, content: dict[str, Any], rows: torch.Tensor
) -> None:
    torch.save({**content, "metrics": [(None, rows)]}, path)
    refused(path, "inconsistent")


@pytest.mark.parametrize(
    "change",
    [
        {"X": torch.full((7, 6), 5)},
        {"X": torch.zeros(6, 6)},
        {"task": torch.full((7,), 2)},
        {"task": torch.full((7,), -1)},
        {"datasets": torch.zeros(2, 1)},
        {"weights": torch.zeros(1, 7)},
        {"weights": torch.zeros(2, 6)},
    ],
)
def test_past_studies_of_another_shape_are_refused(
    path: Path, content: dict[str, Any], change: dict[str, torch.Tensor]
) -> None:
    torch.save({**content, "past": {**content["past"], **change}}, path)
    refused(path, "inconsistent")


def test_predictions_that_are_not_finite_are_refused(path: Path, content: dict[str, Any]) -> None:
    weights = content["past"]["weights"].clone()
    weights[0, 0] = float("nan")
    torch.save({**content, "past": {**content["past"], "weights": weights}}, path)
    refused(path, "NaN or infinite")


def test_nothing_may_be_known_of_the_past(tmp_path: Path) -> None:
    surrogate = make()
    surrogate.past = None
    surrogate.save(tmp_path / "meta.pt")
    assert MetaSurrogate.load(tmp_path / "meta.pt").past is None


def test_unknown_settings_are_refused(path: Path, content: dict[str, Any]) -> None:
    torch.save({**content, "config": {**content["config"], "dropout": 0.1}}, path)
    refused(path, "dropout")


# --- the space ------------------------------------------------------------------------------


def test_a_study_may_rename_the_parameters(path: Path) -> None:
    names = [f"edge_{i}" for i in range(6)]
    renamed = TNASSampler.load(path, space=NASBench201Space(names=names), seed=0)
    plain = TNASSampler.load(path, seed=0)
    expected = [list(params.values()) for params in suggestions(plain)]
    found = suggestions(renamed)
    assert [list(params.values()) for params in found] == expected
    assert list(found[0]) == names


def test_a_study_of_another_space_is_refused_with_the_difference(path: Path) -> None:
    with pytest.raises(SpaceError, match="6 parameters against 45"):
        TNASSampler.load(path, space=MobileNetV3Space())
    space = CellSpace.on_edges(4, ("none", "skip_connect"), zero=["none"])
    with pytest.raises(SpaceError, match="op_0_1"):
        TNASSampler.load(path, space=space)


def test_errors_are_the_packages_own() -> None:
    assert issubclass(CheckpointError, OptunaTNASError)
