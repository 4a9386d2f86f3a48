"""Searches that learn where trials fail, ``failed_trials="model"``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces.cell import Node
from tests.searches import n_different
from tests.searches import params
from tests.searches import sampler_of


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks
SEEDS = range(3)

Fails = Callable[[np.ndarray], bool]


class _OutOfMemoryError(RuntimeError):
    pass


def wide(row: np.ndarray) -> bool:
    """Fails in two thirds of the networks, the best by their gain among them."""
    return bool((row == OPS.index("wide")).any())


def never(row: np.ndarray) -> bool:
    return False


def gain(row: np.ndarray) -> float:
    return float((row * [1.0, 0.8, 0.6, 0.4]).sum())


def search(fails: Fails, way: str, seed: int = 0, n_trials: int = 40, **kwargs: Any) -> Study:
    sampler = sampler_of(SPACE, seed, failed_trials=way)
    study = optuna.create_study(sampler=sampler, direction="maximize", **kwargs)
    study.optimize(training(fails), n_trials=n_trials, catch=_OutOfMemoryError)
    return study


def training(fails: Fails) -> Callable[[Trial], float]:
    def train(trial: Trial) -> float:
        row = SPACE.encode(SPACE.suggest(trial))
        if fails(row):
            raise _OutOfMemoryError
        return gain(row)

    return train


def n_failed(trials: list[FrozenTrial]) -> int:
    return sum(t.state == TrialState.FAIL for t in trials)


def test_a_region_that_fails_is_avoided() -> None:
    """Clearly fewer trials fail in the mean over paired seeds, and the best are as good."""
    avoid, model = ([search(wide, way, seed) for seed in SEEDS] for way in ("avoid", "model"))
    n_avoid, n_model = (sum(n_failed(study.trials) for study in found) for found in (avoid, model))
    assert n_model < 0.75 * n_avoid
    for plain, learned in zip(avoid, model, strict=True):
        assert learned.best_value >= plain.best_value
        assert n_different(learned.trials, SPACE) == 40


def test_rare_failures_at_random_do_no_harm() -> None:
    """The mean of the best values, which differ by 0.4, over paired seeds."""
    best = dict[str, list[float]](avoid=[], model=[])
    for way, values in best.items():
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            study = search(lambda row, rng=rng: rng.random() < 0.1, way, seed)  # type: ignore[misc]
            assert 0 < n_failed(study.trials) < 12
            values.append(study.best_value)
    assert np.mean(best["model"]) > np.mean(best["avoid"]) - 0.2


def test_without_a_failure_the_trials_are_those_of_avoid() -> None:
    assert params(search(never, "model")) == params(search(never, "avoid"))


def test_where_all_failed_one_that_does_not_is_found_earlier() -> None:
    """Six in a hundred networks do not fail, the smallest."""

    def trials_until_one_completes(way: str, seed: int) -> int:
        sampler = sampler_of(SPACE, seed, failed_trials=way)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        train = training(lambda row: row.sum() > 2)
        while all(t.state == TrialState.FAIL for t in study.trials):
            study.optimize(train, n_trials=1, catch=_OutOfMemoryError)
        return len(study.trials)

    avoid, model = (
        sum(trials_until_one_completes(way, seed) for seed in SEEDS) for way in ("avoid", "model")
    )
    assert model < 0.5 * avoid


def test_if_everything_fails_the_search_goes_on() -> None:
    study = search(lambda row: True, "model", n_trials=12)
    assert n_different(study.trials, SPACE) == n_failed(study.trials) == 12
    reasons = [t.user_attrs["tnas:reason"] for t in study.trials]
    assert [r.split(":")[0] for r in reasons] == ["random"] + ["success"] * 11
    told = study.sampler.explain(study, study.trials[-1])  # type: ignore[attr-defined]
    assert told.phase == "success"


def test_failures_and_measured_constraints_together() -> None:
    """Networks with the widest operation fail, others may be too slow."""

    def train(trial: Trial) -> float:
        row = SPACE.encode(SPACE.suggest(trial))
        if wide(row):
            raise _OutOfMemoryError
        trial.set_constraint("ms", float(row.sum()) - 5.0)
        return gain(row)

    found = {}
    for way in ("avoid", "model"):
        sampler = sampler_of(SPACE, failed_trials=way)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.optimize(train, n_trials=40, catch=_OutOfMemoryError)
        found[way] = study
    assert n_failed(found["model"].trials) < n_failed(found["avoid"].trials)
    feasible = [row for row in SPACE.enumerate() if not wide(row) and row.sum() <= 5]
    assert found["model"].best_value == pytest.approx(max(gain(row) for row in feasible))


def test_several_objectives() -> None:
    def train(trial: Trial) -> tuple[float, float]:
        row = SPACE.encode(SPACE.suggest(trial))
        if wide(row):
            raise _OutOfMemoryError
        return gain(row), float(row.sum() ** 1.5)

    counts = dict[str, int](avoid=0, model=0)
    for way in counts:
        for seed in SEEDS:
            sampler = sampler_of(SPACE, seed, failed_trials=way)
            study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
            study.optimize(train, n_trials=30, catch=_OutOfMemoryError)
            assert n_different(study.trials, SPACE) == 30
            counts[way] += n_failed(study.trials)
    assert counts["model"] < 0.8 * counts["avoid"]


def test_a_large_space() -> None:
    """The larger the network the better, but for those with the deepest last stage."""
    space = MobileNetV3Space()

    def train(trial: Trial) -> float:
        params = space.suggest(trial)
        if params["depth_5"] == 4:
            raise _OutOfMemoryError
        return float(space.encode(params).sum())

    def n_failing(way: str) -> int:
        sampler = sampler_of(space, 2, failed_trials=way)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.optimize(train, n_trials=30, catch=_OutOfMemoryError)
        assert n_different(study.trials, space) == 30
        return n_failed(study.trials)

    assert n_failing("model") < 0.5 * n_failing("avoid")


def test_a_resumed_search_has_the_same_trials(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    first = search(wide, "model", n_trials=9, storage=url)
    sampler = sampler_of(SPACE, failed_trials="model")
    resumed = optuna.load_study(study_name=first.study_name, storage=url, sampler=sampler)
    resumed.optimize(training(wide), n_trials=6, catch=_OutOfMemoryError)
    assert params(resumed) == params(search(wide, "model", n_trials=15))
