"""Searches with constraints that are measured in the trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import Trial
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from tests.small_config import SMALL


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks
N_TRIALS = 40


def gain(row: np.ndarray) -> float:
    return float((row * [1.0, 0.8, 0.6, 0.4]).sum())


def latency(row: np.ndarray) -> float:
    """Grows with what is gained, so that the best architectures are infeasible."""
    return float(row.sum() + (row[:-1] * row[1:]).sum() / 2) - 6.0


def objective(
    limits: Callable[[Trial, np.ndarray], dict[str, float]],
) -> Callable[[Trial], float]:
    def train(trial: Trial) -> float:
        row = SPACE.encode(SPACE.suggest(trial))
        for name, value in limits(trial, row).items():
            trial.set_constraint(name, value)
        return gain(row)

    return train


def search(limits: Callable[[Trial, np.ndarray], dict[str, float]], **kwargs: Any) -> Study:
    sampler = TNASSampler(MetaSurrogate(SPACE, SMALL), seed=0, **kwargs)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective(limits), n_trials=N_TRIALS)
    return study


def n_feasible(study: Study) -> int:
    return sum(latency(SPACE.encode(t.params)) <= 0 for t in study.trials)


FEASIBLE = [row for row in SPACE.enumerate() if latency(row) <= 0]
SECOND, BEST = sorted({round(gain(row), 6) for row in FEASIBLE})[-2:]


@pytest.mark.parametrize("acquisition", ["qei", "qlogei", "ucb"])
def test_the_best_feasible_architecture_is_found(acquisition: str) -> None:
    study = search(lambda _, row: {"ms": latency(row)}, acquisition=acquisition)
    assert study.best_value >= SECOND  # Optuna's best trial is a feasible one
    assert study.best_value == BEST or acquisition == "ucb"
    ignoring = search(lambda _, row: {}, acquisition=acquisition)
    assert n_feasible(study) > n_feasible(ignoring) + 8


def test_two_constraints_and_their_order() -> None:
    """Nor do names matter."""
    pair = [lambda row: latency(row), lambda row: float(row[0]) - 1.0]
    found = [
        search(lambda _, row, f=f, g=g: {"a": f(row), "b": g(row)})  # type: ignore[misc]
        for f, g in (pair, pair[::-1])
    ]
    assert [t.params for t in found[0].trials] == [t.params for t in found[1].trials]
    best = max(gain(row) for row in FEASIBLE if row[0] <= 1)
    assert found[0].best_value == best


def test_trials_may_lack_a_constraint() -> None:
    def now_and_then(trial: Trial, row: np.ndarray) -> dict[str, float]:
        names = {"ms": trial.number % 3 != 0, "late": trial.number > 20}
        values = {"ms": latency(row), "late": -1.0}
        return {name: values[name] for name, there in names.items() if there}

    assert len(search(now_and_then).trials) == N_TRIALS


def test_where_nothing_is_feasible_violations_become_smaller() -> None:
    study = search(lambda _, row: {"ms": latency(row) + 100.0})
    latencies = [latency(SPACE.encode(t.params)) for t in study.trials]
    of_all = np.sort([latency(row) for row in SPACE.enumerate()])
    assert np.isin(of_all[:3], latencies).any()
    assert np.mean(latencies[10:]) < np.median(of_all)


def test_a_constraint_that_is_always_met_changes_little() -> None:
    with_it = search(lambda _, row: {"ms": -1.0 - 1e-9 * row[0]})
    assert with_it.best_value == search(lambda _, row: {}).best_value
