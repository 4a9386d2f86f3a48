from __future__ import annotations

import numpy as np
import pytest

from benchmarks.questions.failed_trials import compared
from benchmarks.questions.failed_trials import FailingTask
from benchmarks.questions.failed_trials import plain
from benchmarks.questions.failed_trials import sizes
from benchmarks.tasks import TableTask
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import NASBench201Space
from tests.benchmarks.questions.in_order import InOrder
from tests.benchmarks.questions.in_order import SPACE


VALUE = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
TASK = TableTask(np.arange(8).reshape(4, 2), VALUE, VALUE + 10)
SIZE = np.array([4.0, 1, 3, 2, 7, 5, 8, 6])


def test_regret_is_of_the_best_that_did_not_fail() -> None:
    """The first four do not: true values 11 to 14, median 12.5."""
    failing = FailingTask(SPACE, TASK, SIZE, 50)
    networks = failing.search(InOrder(), 8)
    assert networks.tolist() == [*range(8)]
    n_failed, at_5, *others = failing.figures(networks).tolist()
    assert (n_failed, at_5) == (4, 0)
    assert np.isnan(others).all()
    assert failing.figures(np.array([5, 7, 1, 6, 0]))[:2].tolist() == [3, 2 / 1.5]


def test_before_a_trial_that_does_not_fail_it_is_the_worst() -> None:
    failing = FailingTask(SPACE, TASK, SIZE, 25)  # the networks 1 and 3
    assert failing.figures(np.array([0, 2, 4, 5, 6]))[:2].tolist() == [5, 2]


@pytest.mark.parametrize("way", ["avoid", "model"])
def test_samplers_go_on_after_failures(way: str) -> None:
    failing = FailingTask(SPACE, TASK, SIZE, 50)
    sampler = TNASSampler(space=SPACE, seed=0, failed_trials=way)  # type: ignore[arg-type]
    assert failing.figures(failing.search(sampler, 8))[0] == 4


def test_sizes_are_those_of_the_networks() -> None:
    space = NASBench201Space()
    order = np.random.default_rng(0).permutation(space.size)
    found = sizes(space, TableTask(order.reshape(space.n_choices), order, order))
    for i, row in list(enumerate(space.enumerate()))[::3000]:
        assert found[order[i]] == count_macs(space, space.decode(row))


def test_differences_are_paired() -> None:
    avoid = np.array([[10.0, 0.5, np.nan], [12.0, 0.3, np.nan]])
    found = compared(avoid, avoid + np.array([-2.0, 0.1, np.nan]))
    assert found == ["9 (-2 [-2, -2])", "0.5 (+0.1 [+0.1, +0.1])", "-"]
    assert plain(avoid) == ["11", "0.4", "-"]
