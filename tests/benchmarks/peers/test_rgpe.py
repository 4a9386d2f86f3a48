from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.peers import rgpe
from benchmarks.peers._gp import CategoricalGP
from tests.benchmarks.peers.toy import Toy


def gps(toy: Toy, n: int) -> tuple[list[CategoricalGP], CategoricalGP, np.ndarray]:
    """Models of the whole past tables and of ``n`` trials of the target, and those trials."""
    choices = toy.space.n_choices
    past = [CategoricalGP(toy.rows, table.ravel(), choices) for table in toy.past]
    X = np.random.default_rng(5).permutation(toy.rows)[:n]
    return past, CategoricalGP(X, toy.target[tuple(X.T)], choices), X


def test_losses_by_counting(toy: Toy) -> None:
    rng = np.random.default_rng(0)
    y, f = rng.normal(size=6), rng.normal(size=(4, 6))
    pairs = [(j, k) for j, k in product(range(6), repeat=2) if j != k]
    between = [sum((d[j] < d[k]) != (y[j] < y[k]) for j, k in pairs) for d in f]
    against = [sum((d[j] < y[k]) != (y[j] < y[k]) for j, k in pairs) for d in f]
    assert rgpe._wrong_pairs(f[:, :, None] < f[:, None], y).tolist() == between
    assert rgpe._wrong_pairs(f[:, :, None] < y, y).tolist() == against


def test_shares_by_hand() -> None:
    losses = np.array(
        [
            [1, 4, 2, 0],  # alone the best in the last draw
            [1, 5, 2, 3],  # ties with the one above in the first
            [2, 3, 2, 3],  # the own model: best in the second, and the third's tie is its own
        ]
    )
    np.testing.assert_allclose(rgpe.shares(losses), [1.5 / 4, 0.5 / 4, 2 / 4])


def test_bad_models_are_dropped() -> None:
    own = np.arange(100)  # its 95th percentile is 94.05
    lucky = np.where(own < 49, -1, 95)  # often the best, but its median is above that
    fine = np.where(own < 49, -1, 94)
    assert rgpe.shares(np.array([lucky, own]))[0] == 0
    assert rgpe.shares(np.array([fine, own]))[0] > 0.49


@pytest.mark.parametrize("n", [2, 5, 20])
def test_weights_are_shares_of_one(n: int, toy: Toy) -> None:
    past, own, X = gps(toy, n)
    weights = rgpe.rank_weights(past, own, X, np.random.default_rng(0))
    assert weights.shape == (3,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("n", [8, 20, 40])
def test_the_same_task_gets_the_most_weight(n: int, toy: Toy) -> None:
    past, own, X = gps(toy, n)
    weights = rgpe.rank_weights(past, own, X, np.random.default_rng(0))
    assert weights.argmax() == 0
    assert weights[1] < 0.05


def test_ensemble_is_a_weighted_sum(toy: Toy) -> None:
    past, own, _ = gps(toy, 10)
    weights = np.array([0.5, 0.0, 0.5])
    X = toy.rows[:7]
    mean, variance = rgpe.ensemble([*past, own], weights, X)
    (m0, v0), (m2, v2) = past[0].predict(X), own.predict(X)
    np.testing.assert_allclose(mean, (m0 + m2) / 2)
    np.testing.assert_allclose(variance, (v0 + v2) / 4)


def test_remembered_is_predicted(toy: Toy) -> None:
    past, _, _ = gps(toy, 10)
    X = toy.rows[[3, 60, 0]]
    for ours, theirs in zip(
        rgpe.TabulatedGP(past[0], toy.space).predict(X), past[0].predict(X), strict=True
    ):
        np.testing.assert_allclose(ours, theirs)


def test_past_of_the_same_task_helps(toy: Toy) -> None:
    """Of 64 cells the best is among the first few, the past's five being random trials."""
    tried = toy.search(rgpe.sampler(toy.setting()), 10)
    assert toy.target[tuple(tried.T)].max() == toy.target.max()
