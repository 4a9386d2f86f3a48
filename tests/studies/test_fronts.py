"""The order of trials with several objectives, against definitions and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.studies.fronts import fronts
from optuna_tnas.studies.fronts import non_dominated


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a >= b).all() and (a > b).any())


@pytest.mark.parametrize("M", [1, 2, 3, 4])
def test_non_dominated_points_are_those_that_no_other_dominates(M: int) -> None:
    Y = np.random.default_rng(M).integers(0, 5, (40, M)).astype(float)
    expected = [not any(dominates(other, y) for other in Y) for y in Y]
    assert non_dominated(Y).tolist() == expected


def test_each_front_is_that_of_what_the_ones_before_leave() -> None:
    Y = np.random.default_rng(0).standard_normal((50, 2))
    ranks, _ = fronts(Y)
    for rank in range(int(-ranks.min()) + 1):
        left = ranks <= -rank
        assert (ranks[left] == -rank).tolist() == non_dominated(Y[left]).tolist()


def test_units_do_not_matter_and_infinite_values_are_values() -> None:
    Y = np.random.default_rng(0).standard_normal((30, 2))
    Y[3] = [np.inf, -np.inf]
    ranks, distance = fronts(Y)
    assert (fronts(np.exp(Y))[0] == ranks).all()
    scaled = fronts(Y * [1e9, 1e-9])
    assert (scaled[0] == ranks).all()
    np.testing.assert_allclose(scaled[1], distance)
    assert not np.isnan(distance).any()
    assert not np.isnan(fronts(np.array([[np.inf, -np.inf], [-np.inf, np.inf]]))[1]).any()


def test_lonely_points_and_the_ends_are_the_farthest_from_their_neighbors() -> None:
    Y = np.array([[0, 9], [1, 8], [2, 7], [6, 3], [9, 0]], dtype=float)
    ranks, distance = fronts(Y)
    assert (ranks == 0).all()
    assert np.isinf(distance[[0, 4]]).all()
    assert distance[3] > distance[1]


def test_of_many_trials_only_the_best_are_told_apart() -> None:
    n = 3000
    Y = np.arange(n, dtype=float)[:, None] * [1, 1]
    ranks, _ = fronts(Y)
    assert (ranks[::-1][:512] == -np.arange(512)).all()
    assert (ranks[: n - 512] == -n).all()
