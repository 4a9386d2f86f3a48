"""The warm-start set against all sets of its size, and how much of it is tried."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from optuna_tnas.surrogate.start import greedy_cover
from optuna_tnas.surrogate.start import start_size


def coverage(regrets: np.ndarray, chosen: tuple[int, ...] | np.ndarray) -> float:
    """Mean over the tasks of the best regret within the set."""
    return float(regrets[:, list(chosen)].min(axis=1).mean())


@pytest.mark.parametrize("seed", range(5))
def test_greedy_cover_is_nearly_the_best_set(seed: int) -> None:
    """Greedy choices leave at most ``1 - 1/e`` of what the best set gains on the first one."""
    regrets = np.random.default_rng(seed).exponential(size=(8, 10))
    best = min(coverage(regrets, chosen) for chosen in combinations(range(10), 3))
    first = coverage(regrets, greedy_cover(regrets, 1))
    found = coverage(regrets, greedy_cover(regrets, 3))
    assert first - found > (1 - 1 / np.e) * (first - best) - 0.05
    assert first - found > 0


def test_greedy_cover_begins_with_the_best_on_average_and_covers_what_is_left() -> None:
    regrets = np.array([[0.0, 0.2, 0.2, 0.9], [0.9, 0.2, 0.2, 0.0], [0.9, 0.2, 0.3, 0.9]])
    # Of what is left, the last column covers as much as the first, and is as good on average.
    assert greedy_cover(regrets, 3).tolist() == [1, 0, 3]


def test_greedy_cover_prefers_what_is_good_everywhere_among_equals() -> None:
    regrets = np.array([[0.0, 0.5, 0.3], [0.0, 0.5, 0.3]])  # the first one covers all
    assert greedy_cover(regrets, 3).tolist() == [0, 2, 1]


def test_greedy_cover_takes_no_column_twice_and_no_more_than_there_are() -> None:
    chosen = greedy_cover(np.random.default_rng(0).random((4, 6)), 16)
    assert sorted(chosen.tolist()) == list(range(6))
    assert greedy_cover(np.empty((3, 0)), 16).tolist() == []


def test_start_is_as_large_as_the_studies_disagree() -> None:
    agreed = torch.tensor([[1.0, 0.9, 1.1], [0.9, 1.0, 1.0], [0.5, 0.6, 0.4]])
    assert start_size(agreed) == 1
    assert start_size(torch.eye(3)) == 3
    assert start_size(torch.cat([torch.eye(3), torch.ones(2, 3)])) == 3
    assert start_size(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 9.0]])) == 1  # the order is kept
    assert start_size(torch.zeros(1, 2)) == 1
