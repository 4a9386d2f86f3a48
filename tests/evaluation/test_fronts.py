"""Hypervolume regrets against areas of boxes, and replays of studies with two objectives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from optuna_tnas.config import Config
from optuna_tnas.evaluation.fronts import leave_out
from optuna_tnas.evaluation.fronts import MeasuredFront
from optuna_tnas.evaluation.fronts import targets
from optuna_tnas.evaluation.replay import METHODS
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task


STAIRS = np.array([[0.0, 4.0], [1.0, 3.0], [2.0, 2.0], [0.5, 1.0], [3.0, 0.0]])


def area(Y: np.ndarray, low: np.ndarray) -> float:
    """Sum the parts of the plane that points dominate, cut at all of their coordinates."""
    xs, ys = (np.unique([*column, at]) for column, at in zip(Y.T, low, strict=True))
    return sum(
        (right - left) * (top - bottom)
        for left, right in pairwise(xs)
        for bottom, top in pairwise(ys)
        if ((Y[:, 0] >= right) & (Y[:, 1] >= top)).any()
    )


@pytest.mark.parametrize("seed", range(5))
def test_regret_is_the_missing_share_of_the_area_above_the_worst_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    Y = np.stack([rng.permutation(12), 0.1 * rng.permutation(12)], axis=1)
    order = rng.permutation(12)
    low = Y.min(axis=0) - 0.1 * np.ptp(Y, axis=0)
    expected = [1 - area(Y[order[:n]], low) / area(Y, low) for n in range(1, 13)]
    np.testing.assert_allclose(MeasuredFront(Y).regrets(order), expected, atol=1e-12)


def test_units_do_not_matter_nor_how_bad_a_diverged_network_is() -> None:
    order = np.array([3, 1, 5, 0, 4, 2])
    diverged = [np.vstack([STAIRS, [-bad, 0.0]]) for bad in (1e6, 1e9)]
    regrets = [MeasuredFront(Y).regrets(order) for Y in (*diverged, diverged[0] * [1e-9, 1e12])]
    np.testing.assert_allclose(regrets[1:], [regrets[0]] * 2, atol=1e-9)
    assert regrets[0][0] > 0.5


def test_an_objective_that_is_constant_leaves_the_other() -> None:
    regrets = MeasuredFront(np.array([[1.0, 7.0], [3.0, 7.0], [2.0, 7.0]])).regrets(np.arange(3))
    assert regrets[0] > 0.8
    np.testing.assert_allclose(regrets[1:], 0, atol=1e-12)


# --- replays --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(space: Space, task_of: Callable[..., Task]) -> MetaDataset:
    """Three studies of accuracy and latency, which contradict each other, and one of accuracy."""
    tasks = []
    for seed in range(3):
        accuracy = replace(task_of(seed), metric="accuracy")
        latency = -((accuracy.X != 0).sum(axis=1) + 0.5 * (accuracy.X == 2).sum(axis=1))
        tasks += [accuracy, replace(accuracy, metric="latency", y=latency.astype(float))]
    return MetaDataset(space, (*tasks, replace(task_of(3), metric="accuracy")))


def test_the_past_of_both_objectives_helps(history: MetaDataset, config: Config) -> None:
    brief = replace(config, outer_steps=2)
    outcome = leave_out(history, "task 0", 0, config=brief, n_trials=6)
    regrets = outcome.hypervolume_regret
    assert set(regrets) == set(METHODS)
    for curve in regrets.values():
        assert len(curve) == 6
        assert (np.diff(curve) <= 1e-12).all()
        assert 0 <= curve[-1] <= curve[0] <= 1
    assert regrets["with transfer"][2] < regrets["random"][2]
    assert outcome == leave_out(history, "task 0", 0, config=brief, n_trials=6)


def test_no_more_trials_than_architectures(history: MetaDataset, config: Config) -> None:
    few = tuple(replace(t, X=t.X[:6], y=t.y[:6]) for t in history.tasks)
    small = replace(config, outer_steps=1)
    outcome = leave_out(replace(history, tasks=few), "task 1", 0, config=small, n_trials=50)
    assert outcome.architectures == len(np.unique(few[2].X, axis=0))
    for curve in outcome.hypervolume_regret.values():
        assert len(curve) == outcome.architectures
        assert curve[-1] == pytest.approx(0, abs=1e-12)


def test_targets_have_several_objectives_one_of_them_known_elsewhere(history: MetaDataset) -> None:
    assert targets(history) == ["task 0", "task 1", "task 2"]
    constrained = [replace(t, objective=t.metric == "accuracy") for t in history.tasks]
    assert targets(replace(history, tasks=tuple(constrained))) == []
    others = {"task 1": {"accuracy": "error", "latency": "size"}, "task 2": {"latency": "size"}}
    renamed = [
        replace(t, metric=others.get(t.name, {}).get(t.metric or "", t.metric))
        for t in history.tasks
    ]
    assert targets(replace(history, tasks=tuple(renamed))) == ["task 0", "task 1", "task 2"]
    alone = [t for t in renamed if t.name in ("task 0", "task 1")]
    assert targets(replace(history, tasks=tuple(alone))) == []
