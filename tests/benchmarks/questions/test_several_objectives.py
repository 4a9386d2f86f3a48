from __future__ import annotations

import numpy as np
from optuna.samplers import BaseSampler
from optuna.samplers import GridSampler
import pytest

from benchmarks.questions.several_objectives import Front
from benchmarks.questions.several_objectives import FrontTask
from benchmarks.tasks import TableTask
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node


SPACE = CellSpace([Node("a", ["u", "v", "w", "x"]), Node("b", ["u", "v"], ["a"])])
NETWORK = np.arange(8).reshape(4, 2)
VALUE = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
LATENCY = np.array([4.0, 1, 3, 2, 7, 5, 8, 6])


def searched(value: np.ndarray = VALUE) -> FrontTask:
    return FrontTask(SPACE, TableTask(NETWORK, value, VALUE), LATENCY)


class _InOrder(GridSampler):
    """All architectures, in the table's order."""

    def __init__(self) -> None:
        choices = {name: d.choices for name, d in SPACE.distributions().items()}
        super().__init__(choices, seed=0)
        self._all_grids.sort()


def test_regret_is_the_share_of_the_hypervolume_that_is_missing() -> None:
    """Of the front (2, -1), (4, -2), (6, -5), (8, -6), from (1.4, -6.5)."""
    volume = 5.5 * (2 - 1.4) + 4.5 * (4 - 2) + 1.5 * (6 - 4) + 0.5 * (8 - 6)
    found = 5.5 * (2 - 1.4) + 4.5 * (4 - 2)  # of the first five
    regrets = searched().regrets(_InOrder(), 8)
    assert regrets.shape == (2, 1)
    assert regrets[0, 0] == pytest.approx(1 - found / volume)


def test_the_good_part_of_the_front_is_above_the_median_accuracy() -> None:
    """Of (6, -5) and (8, -6), from (4.5, -6.1); none of the first five is there."""
    Y = np.stack([VALUE, -LATENCY], axis=1)
    good = Front(Y, 4.5)
    assert good.regret(Y) == pytest.approx(0)
    assert good.regret(Y[:4]) == 1
    volume = 1.1 * (6 - 4.5) + 0.1 * (8 - 6)
    assert good.regret(Y[[5]]) == pytest.approx(1 - 1.1 * 1.5 / volume)


def test_what_is_taken_is_chosen_by_the_measured_values() -> None:
    """By which the network 3 is not on the front."""
    misled = VALUE.copy()
    misled[3] = 0.0
    assert searched(misled).regrets(_InOrder(), 8)[0, 0] > searched().regrets(_InOrder(), 8)[0, 0]


@pytest.mark.parametrize("sampler", [TNASSampler(space=SPACE, seed=0)])
def test_samplers_search_both(sampler: BaseSampler) -> None:
    task = searched()
    assert task.regrets(sampler, 5).shape == (2, 1)
