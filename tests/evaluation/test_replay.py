"""Replays against brute force, and whether related studies help and contradicting ones do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
from optuna.distributions import FloatDistribution
import pytest
from scipy.stats import spearmanr

from optuna_tnas.config import Config
from optuna_tnas.errors import HistoryError
from optuna_tnas.evaluation.replay import check
from optuna_tnas.evaluation.replay import expected_best
from optuna_tnas.evaluation.replay import expected_trials
from optuna_tnas.evaluation.replay import leave_out
from optuna_tnas.evaluation.replay import measured
from optuna_tnas.evaluation.replay import rank_correlation
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task


@pytest.fixture(scope="module")
def history(space: Space, task_of: Callable[..., Task]) -> MetaDataset:
    """Four studies that agree, and one that says the opposite."""
    return MetaDataset(space, (*(task_of(seed) for seed in range(4)), task_of(4, sign=-1.0)))


@pytest.fixture
def brief(config: Config) -> Config:
    """Where it does not matter how much is learned."""
    return replace(config, outer_steps=2)


@pytest.mark.parametrize("values", [[3.0, 1, 4, 1, 5], [2.0, 2, 2], [7.0]])
def test_the_best_of_random_draws_is_the_mean_over_all_orders(values: list[float]) -> None:
    orders = np.array(list(permutations(values)))
    expected = np.maximum.accumulate(orders, axis=1).mean(axis=0)
    np.testing.assert_allclose(expected_best(np.array(values), len(values)), expected)
    np.testing.assert_allclose(expected_best(np.array(values), 1), expected[:1])


@pytest.mark.parametrize(("n", "n_top", "n_trials"), [(5, 1, 5), (6, 2, 3), (4, 4, 2), (1, 1, 1)])
def test_random_draws_until_a_top_one_are_the_mean_over_all_orders(
    n: int, n_top: int, n_trials: int
) -> None:
    first = [
        next((i for i, drawn in enumerate(order[:n_trials], 1) if drawn < n_top), n_trials + 1)
        for order in permutations(range(n))
    ]
    assert expected_trials(n, n_top, n_trials) == pytest.approx(np.mean(first))


def test_an_architecture_measured_twice_has_its_mean(space: Space) -> None:
    X = space.sample(3, np.random.default_rng(0))
    assert len(np.unique(X, axis=0)) == 3
    rows, values = measured(Task("a", X[[0, 1, 0, 2]], np.array([1.0, 5.0, 3.0, 0.0])))
    found = {tuple(row): value for row, value in zip(rows, values, strict=True)}
    assert found == {tuple(X[0]): 2.0, tuple(X[1]): 5.0, tuple(X[2]): 0.0}


def test_rank_correlation_is_spearmans_and_0_for_constants() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, size=(2, 30)).astype(float)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, np.ones(30)) == 0


def test_related_studies_help_and_the_opposite_one_misleads(
    history: MetaDataset, config: Config
) -> None:
    outcome = leave_out(history, "task 0", 0, config=config, n_trials=10)
    assert outcome.trials["with transfer"] <= outcome.trials["random"]
    assert outcome.regret["with transfer"][0] < outcome.regret["random"][0]
    assert outcome.rank_correlation > 0.4
    assert outcome.sources["task 4"] < 0
    assert all(outcome.sources[f"task {s}"] > 0.4 for s in (1, 2, 3))
    assert "task 0" not in outcome.sources
    for curve in outcome.regret.values():
        assert len(curve) == 10
        assert (np.diff(curve) <= 1e-12).all()


def test_the_same_seed_gives_the_same_outcome_and_the_target_teaches_nothing(
    history: MetaDataset, brief: Config
) -> None:
    """Other values of the target change what is found, not what was learned."""
    first, again = (leave_out(history, "task 1", 3, config=brief, n_trials=4) for _ in "ab")
    assert first == again
    target = history.tasks[1]
    tasks = (history.tasks[0], replace(target, y=2 * target.y), *history.tasks[2:])
    scaled = leave_out(replace(history, tasks=tasks), "task 1", 3, config=brief, n_trials=4)
    assert scaled.sources == first.sources


def test_a_copy_of_the_target_teaches_nothing_either(
    history: MetaDataset, brief: Config, caplog: pytest.LogCaptureFixture
) -> None:
    alone = leave_out(history, "task 1", 3, config=brief, n_trials=4)
    tasks = (*history.tasks, replace(history.tasks[1], name="renamed"))
    copied = leave_out(replace(history, tasks=tasks), "task 1", 3, config=brief, n_trials=4)
    assert copied == alone
    assert "['renamed'] hold the trials of 'task 1'" in caplog.text


def test_values_that_hyperparameters_decide_are_no_architectures(history: MetaDataset) -> None:
    rate = Hyperparameters({"rate": FloatDistribution(0, 1)})
    params = [{"rate": 0.5}] * len(history.tasks[0].y)
    searched = replace(history.tasks[0], params=params, hyperparameters=rate)
    with pytest.raises(HistoryError, match=r"'rate'.*space's parameters only"):
        check(replace(history, tasks=(searched, *history.tasks[1:])))


def test_one_study_alone_has_nothing_to_learn_from(history: MetaDataset) -> None:
    with pytest.raises(HistoryError, match="'task 0'"):
        check(replace(history, tasks=history.tasks[:1]))
