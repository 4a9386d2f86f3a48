"""Searches whose storage was damaged, or holds what no sampler wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest

from optuna_tnas import DatasetSample
from optuna_tnas import TNASSampler
from optuna_tnas.datasets.storage import _ARTIFACT_ID
from optuna_tnas.spaces import NASBench201Space
from tests.searches import n_different
from tests.searches import params


def journal(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path)))


def load(path: Path, checkpoint: Path) -> Study:
    sampler = TNASSampler.load(checkpoint, seed=0)
    return optuna.load_study(study_name="s", storage=journal(path), sampler=sampler)


@pytest.fixture
def search_in_journal(
    tmp_path: Path, checkpoint: Path, objective: Callable[[Trial], float]
) -> Callable[[str, int], Path]:
    def run(name: str, n_trials: int) -> Path:
        path = tmp_path / name
        optuna.create_study(study_name="s", storage=journal(path), direction="maximize")
        load(path, checkpoint).optimize(objective, n_trials=n_trials)
        return path

    return run


@pytest.mark.parametrize("n_bytes", [1, 20])
def test_a_journal_with_a_torn_last_line_is_read_and_goes_on_once_it_is_cut(
    search_in_journal: Callable[[str, int], Path],
    checkpoint: Path,
    objective: Callable[[Trial], float],
    n_bytes: int,
) -> None:
    """As a machine leaves it that stopped while it wrote."""
    whole = load(search_in_journal("whole", 8), checkpoint)
    path = search_in_journal("torn", 5)
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines()[-1][:n_bytes])
    assert params(load(path, checkpoint)) == params(whole)[:5]
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"\n") + 1])  # the remedy of the docs
    study = load(path, checkpoint)
    study.optimize(objective, n_trials=3)
    assert params(study) == params(whole)


def test_a_trial_whose_end_was_torn_off_is_not_repeated(
    search_in_journal: Callable[[str, int], Path],
    checkpoint: Path,
    objective: Callable[[Trial], float],
) -> None:
    path = search_in_journal("torn", 5)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))  # the last trial's value is lost
    study = load(path, checkpoint)
    assert study.trials[4].state == TrialState.RUNNING
    study.optimize(objective, n_trials=5)
    assert n_different(study.trials, NASBench201Space()) == 10


HOSTILE: list[Any] = [None, 7, -1.5, True, "x", "x" * 60_000, [], [[1], "a"], {"a": [None]}]
KEYS = ["constraints", "constraints:ms", "gp:relative_params:0", "tnas:architecture:", "tnas"]


@pytest.mark.parametrize("key", KEYS)
def test_hostile_attributes_change_no_suggestion(
    key: str, checkpoint: Path, objective: Callable[[Trial], float]
) -> None:
    """Whatever trials that finished, and one that is running, have among their attributes."""

    def run(hostile: bool) -> Study:
        study = optuna.create_study(
            direction="maximize", sampler=TNASSampler.load(checkpoint, seed=0)
        )
        for content in HOSTILE:
            trial = study.ask()
            value = objective(trial)
            if hostile and not (key == "constraints:ms" and isinstance(content, int | float)):
                study._storage.set_trial_system_attr(trial._trial_id, key, content)
            study.tell(trial, value)
        return study

    assert params(run(hostile=True)) == params(run(hostile=False))


@pytest.mark.parametrize("content", [*HOSTILE, "../../secret"])
def test_the_sample_of_a_study_is_one_of_its_artifacts(content: Any, tmp_path: Path) -> None:
    """The attribute that names the latest one may hold anything, another file's path too."""
    store = FileSystemArtifactStore(tmp_path / "artifacts")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    study = optuna.create_study()
    sample = DatasetSample.from_arrays(
        [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 5.0]], [0, 1, 0, 1]
    )
    sample.attach(study, store)
    study.set_user_attr(_ARTIFACT_ID, content)
    found = DatasetSample.attached_to(study, store)
    assert found is not None
    assert (found.labels == sample.labels).all()
