from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers._mutation import mutants_of_best
from benchmarks.peers._mutation import mutate
from benchmarks.peers._mutation import untried
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space


SPACES = [NASBench201Space(), MobileNetV3Space()]


@pytest.mark.parametrize("space", SPACES)
def test_exactly_one_choice_changes(space: Space) -> None:
    rng = np.random.default_rng(0)
    parents = space.sample(300, rng)
    mutants = mutate(space, parents, rng)
    assert np.array_equal(space.canonical(mutants), mutants)
    kept = space.active(parents) & space.active(mutants)
    assert ((parents != mutants) & kept).sum(axis=1).tolist() == [1] * 300
    assert (mutants >= 0).all() and (mutants < space.n_choices).all()


def test_every_neighbor_is_as_likely() -> None:
    space = NASBench201Space()
    row = np.array([[0, 1, 2, 3, 4, 0]])
    mutants = mutate(space, np.repeat(row, 24_000, axis=0), np.random.default_rng(0))
    rows, counts = np.unique(mutants, axis=0, return_counts=True)
    assert np.array_equal(rows, space.neighbors(row[0]))
    assert np.abs(counts - 1000).max() < 150


def test_choices_that_are_switched_on_are_random() -> None:
    space = MobileNetV3Space()
    shallow = np.zeros((20_000, 45), dtype=np.int64)
    mutants = mutate(space, shallow, np.random.default_rng(0))
    deeper = mutants[mutants[:, 0] == 2]
    assert {tuple(row) for row in deeper[:, 7:9]} == {(k, e) for k in range(3) for e in range(3)}


def test_parameter_with_one_choice_stays() -> None:
    space = CellSpace.on_edges(2, ["conv", "pool"])
    mutants = mutate(space, np.zeros((5, 1), dtype=np.int64), np.random.default_rng(0))
    assert mutants.ravel().tolist() == [1] * 5


def test_mutants_of_the_best_are_new_and_those_of_better_parents_come_first() -> None:
    space, rng = NASBench201Space(), np.random.default_rng(0)
    X = space.sample(30, rng)
    y = np.arange(30.0)
    mutants = mutants_of_best(space, X, y, rng, n_parents=2, n_each=100)
    assert len(np.unique(np.concatenate([X, mutants]), axis=0)) == len(X) + len(mutants)
    from_best = (mutants != X[29]).sum(axis=1) == 1
    from_second = (mutants != X[28]).sum(axis=1) == 1
    assert (from_best | from_second).all()
    assert np.flatnonzero(from_best).max() < np.flatnonzero(~from_best).min()


def test_untried() -> None:
    pool = np.array([[0, 1], [2, 3], [0, 1], [4, 5]])
    assert untried(pool, np.array([[2, 3]])).tolist() == [[0, 1], [4, 5]]
    assert untried(pool, pool).shape == (0, 2)
