"""Studies and checkpoints of a narrower space in a search of a wider one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import BaseTrial
from optuna.trial import Trial
import pytest
import torch

from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.config import Config
from optuna_tnas.errors import MissingSpaceError
from optuna_tnas.errors import SpaceError
from optuna_tnas.errors import StudyError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS
from tests.searches import search
from tests.small_config import SMALL


OPS = ("conv", "pool", "skip")
FEW_STEPS = Config(**{**vars(SMALL), "outer_steps": 2})


def cell(*more: str) -> Space:
    return CellSpace.on_edges(3, (*more, *OPS), zero=["skip"])


def mlp(trial: BaseTrial) -> list[str]:
    n = trial.suggest_int("n_layers", 1, 3)
    return [f"linear_{trial.suggest_int(f'width_{i}', 16, 48, step=16)}" for i in range(n)]


def wider_mlp(trial: BaseTrial) -> list[str]:
    """More layers, wider ones, and an activation."""
    layers = [trial.suggest_categorical("activation", ["gelu", "relu"])]
    for i in range(trial.suggest_int("n_layers", 1, 5)):
        layers.append(f"linear_{trial.suggest_int(f'width_{i}', 16, 96, step=16)}")
    return layers


def mlps() -> tuple[Space, Space]:
    narrower = Space.from_define_by_run(mlp)
    wider = Space.from_define_by_run(wider_mlp, n_runs=100)
    return narrower, narrower.extended(wider, added={"activation": "relu"})


def cells() -> tuple[Space, Space]:
    return cell(), cell().extended(cell("attention"))


GROWN = pytest.mark.parametrize("grown", [cells, mlps])
Grown = Callable[[], tuple[Space, Space]]


def worth(space: Space, trial: Trial) -> float:
    """Many of few operations: easy to learn."""
    params = space.suggest(trial)
    numbers = [v for v in params.values() if isinstance(v, int)]
    return sum(numbers) / 48 + sum(v in ("conv", "attention", "gelu") for v in params.values())


def searched(
    space: Space, url: str | BaseStorage, name: str, n: int, sampler: optuna.samplers.BaseSampler
) -> Study:
    study = optuna.create_study(
        study_name=name, storage=url, direction="maximize", sampler=sampler, load_if_exists=True
    )
    study.optimize(lambda trial: worth(space, trial), n_trials=n)
    return study


def sampler(space: Space) -> TNASSampler:
    return TNASSampler(MetaSurrogate(space, SMALL), seed=0)


@pytest.fixture
def memory() -> BaseStorage:
    return InMemoryStorage()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@GROWN
def test_studies_of_the_narrower_space_are_history_of_the_wider(grown: Grown, url: str) -> None:
    narrower, wider = grown()
    for seed in range(2):
        searched(narrower, url, f"old {seed}", 8, RandomSampler(seed=seed))
    searched(wider, url, "new", 5, RandomSampler(seed=2))
    history = MetaDataset.from_storage(url, wider)
    assert [len(task.y) for task in history.tasks] == [8, 8, 5]
    assert not history.left_out
    meta = meta_train(history, config=FEW_STEPS, progress=False)
    study = searched(wider, url, "next", 3, TNASSampler(meta, seed=0))
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 3


def test_what_does_not_count_is_told(memory: BaseStorage) -> None:
    searched(mlps()[0], memory, "old", 6, RandomSampler(seed=0))
    searched(mlps()[1], memory, "new", 6, RandomSampler(seed=0))
    other = Space.from_define_by_run(wider_mlp, n_runs=100)
    without = MetaDataset.from_storage(memory, other)
    assert without.left_out == {
        "trials without all of the space's parameters": 6,
        "studies with fewer than two usable trials": 1,
    }
    narrow = MetaDataset.from_storage(memory, mlps()[0])
    too_wide = [why for why in narrow.left_out if "none of the space's choices" in why]
    assert any("'width_0'" in why for why in too_wide)


def test_a_study_goes_on_with_wider_ranges(url: str) -> None:
    """Optuna lets ranges of integers change, and parameters come."""
    narrower, wider = mlps()
    searched(narrower, url, "s", 8, sampler(narrower))
    study = searched(wider, url, "s", 8, sampler(wider))
    assert len({wider.encode(t.params).tobytes() for t in study.trials}) == 16
    assert max(t.params["n_layers"] for t in study.trials[8:]) > 3
    with pytest.raises(StudyError, match=r"(?s)'n_layers'.*high=3.*high=5.*extended"):
        searched(wider.whole, url, "s", 1, sampler(wider.whole))  # type: ignore[attr-defined]


def test_choices_of_a_study_are_those_it_began_with(memory: BaseStorage) -> None:
    narrower, wider = cells()
    old = searched(narrower, memory, "old", 8, sampler(narrower))
    with pytest.raises(StudyError, match=r"(?s)'op_0_1'.*attention.*converted"):
        searched(wider, memory, "old", 1, sampler(wider))
    new = optuna.create_study(study_name="new", storage=memory, direction="maximize")
    new.add_trials(wider.converted(old.trials))  # type: ignore[attr-defined]
    study = searched(wider, memory, "new", 8, sampler(wider))
    assert [t.value for t in study.trials[:8]] == [t.value for t in old.trials[:8]]
    assert len({wider.encode(t.params).tobytes() for t in study.trials}) == 16


@GROWN
def test_a_checkpoint_of_the_narrower_space_predicts_as_before(
    grown: Grown, memory: BaseStorage, tmp_path: Path
) -> None:
    narrower, wider = grown()
    study = searched(narrower, memory, "old", 25, RandomSampler(seed=0))
    meta = meta_train(MetaDataset.from_studies([study], narrower), config=FEW_STEPS)
    meta.save(tmp_path / "meta.pt")
    loaded = TNASSampler.load(tmp_path / "meta.pt", space=wider, seed=0)
    X = narrower.sample(200, np.random.default_rng(1))
    mine = np.array([wider.encode(narrower.decode(row)) for row in X])
    before, after = meta.predictor, loaded.surrogate.predictor
    assert before is not None and after is not None
    assert np.corrcoef(before(X)[:, 0], after(mine)[:, 0])[0, 1] > 0.97
    torch.testing.assert_close(outcomes_of(loaded.surrogate), outcomes_of(meta))
    first = searched(wider, memory, "new", 1, loaded).trials[0]
    values = [t.value for t in study.trials if t.value is not None]
    assert first.value is not None and first.value >= np.quantile(values, 0.8)


def test_a_shipped_checkpoint_knows_one_operation_more(nasbench201: Space) -> None:
    wider = nasbench201.extended(
        CellSpace.on_edges(4, [*NASBENCH201_OPS, "attention"], zero=["none"])
    )
    first = [
        search(TNASSampler.load("nasbench201", space=space, seed=0), partial(worth, space), 1)
        for space in (nasbench201, wider)
    ]
    assert first[0].trials[0].params == first[1].trials[0].params


def outcomes_of(meta: MetaSurrogate) -> torch.Tensor:
    assert meta.past is not None
    return meta.past.outcomes(meta.network, meta.structure)[0]


def test_a_checkpoint_of_another_space_is_refused(tmp_path: Path) -> None:
    narrower, wider = mlps()
    MetaSurrogate(wider, SMALL).save(tmp_path / "wide.pt")
    with pytest.raises(MissingSpaceError, match="mlp"):
        TNASSampler.load(tmp_path / "wide.pt", space=narrower)
    MetaSurrogate(cell("mamba"), SMALL).save(tmp_path / "other.pt")
    with pytest.raises(SpaceError, match=r"mamba.*extended"):
        TNASSampler.load(tmp_path / "other.pt", space=cells()[1])
