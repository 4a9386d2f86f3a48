from __future__ import annotations

import numpy as np
from optuna.samplers import BaseSampler
import pytest

from benchmarks.questions.measured_constraints import LimitedTask
from benchmarks.tasks import TableTask
from optuna_tnas import TNASSampler
from tests.benchmarks.questions.in_order import InOrder
from tests.benchmarks.questions.in_order import SPACE


NETWORK = np.arange(8).reshape(4, 2)
VALUE = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
TRUE = VALUE + 10
LATENCY = np.array([4.0, 1, 3, 2, 7, 5, 8, 6])


def limited(percentile: float) -> LimitedTask:
    return LimitedTask(SPACE, TableTask(NETWORK, VALUE, TRUE), LATENCY, percentile)


def test_regret_is_of_the_best_feasible_cell() -> None:
    """Half of them are: the networks 0 to 3."""
    found = limited(50).regrets(InOrder(), 8)
    assert limited(50).limit == 4.5
    # True values 11, 12, 13, 14; their median is 12.5.
    np.testing.assert_allclose(found, np.array([3, 2, 1, 0, 0, 0, 0, 0]) / 1.5)


def test_before_a_feasible_trial_it_is_that_of_the_worst() -> None:
    found = limited(25).regrets(InOrder(), 8)  # the networks 1 and 3
    np.testing.assert_allclose(found, [2, 2, 2, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("sampler", [TNASSampler(space=SPACE, seed=0)])
def test_samplers_are_told_the_constraint(sampler: BaseSampler) -> None:
    assert limited(50).regrets(sampler, 8)[-1] == 0
