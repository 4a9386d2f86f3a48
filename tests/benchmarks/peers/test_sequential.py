from __future__ import annotations

import numpy as np
import optuna
from optuna.samplers import BaseSampler
import pytest

from benchmarks import peers
from benchmarks.peers._sequential import best_of_past
from benchmarks.peers._sequential import random_initial
from benchmarks.peers._sequential import unseen_candidates
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import Space
from tests.benchmarks.peers.toy import study_of
from tests.benchmarks.peers.toy import Toy


METHODS = ["evolution", "gp_ei", "gp_ucb", "rank_transfer", "rgpe", "top5_tpe", "warm_gp"]


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_trials(method: str, toy: Toy) -> None:
    first, again = (toy.search(peers.make(method, toy.setting(3)), 14) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("method", ["evolution", "gp_ei", "gp_ucb"])
def test_random_start(method: str, toy: Toy) -> None:
    starts = [toy.search(peers.make(method, toy.setting(seed)), 5) for seed in range(2)]
    for seed, start in enumerate(starts):
        np.testing.assert_array_equal(start, random_initial(toy.space, 5, seed))
    assert (starts[0] != starts[1]).any()


@pytest.mark.parametrize("method", ["rgpe", "top5_tpe", "warm_gp"])
def test_start_from_the_past(method: str, toy: Toy) -> None:
    setting = toy.setting()
    start = toy.search(peers.make(method, setting), 5)
    np.testing.assert_array_equal(start, best_of_past(setting.history, toy.space, 5))


@pytest.mark.parametrize("method", ["gp_ei", "rank_transfer", "rgpe", "warm_gp"])
def test_nothing_twice(method: str, toy: Toy) -> None:
    tried = toy.search(peers.make(method, toy.setting()), 20)
    assert len(np.unique(tried, axis=0)) == 20


@pytest.mark.parametrize("method", METHODS)
def test_space_that_cannot_be_listed(method: str, toy: Toy) -> None:
    """MobileNetV3 with a made-up preference for every parameter's last choice."""
    space, rng = MobileNetV3Space(), np.random.default_rng(0)
    histories = [space.sample(15, rng) for _ in range(2)]
    history = tuple(study_of(space, X, X.sum(axis=1)) for X in histories)
    sampler = peers.make(method, peers.Setting(space, history, 0, toy.cache))
    tried = _last_choices(space, sampler, 12)
    assert len(tried) == 12
    np.testing.assert_array_equal(tried, space.canonical(tried))


def _last_choices(space: Space, sampler: BaseSampler, n: int) -> np.ndarray:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(lambda trial: float(space.encode(space.suggest(trial)).sum()), n)
    return np.array([space.encode(trial.params) for trial in study.trials])


# --- candidates -----------------------------------------------------------------------------


def test_candidates_of_an_enumerable_space(toy: Toy) -> None:
    rng = np.random.default_rng(0)
    X = toy.space.sample(30, rng)
    unseen = unseen_candidates(toy.space, X, np.zeros(30), rng)
    tried = {tuple(row) for row in X}
    assert [tuple(r) for r in unseen] == [tuple(r) for r in toy.rows if tuple(r) not in tried]


def test_candidates_when_all_were_tried(toy: Toy) -> None:
    pool = unseen_candidates(toy.space, toy.rows, np.zeros(64), np.random.default_rng(0))
    np.testing.assert_array_equal(pool, toy.rows)


def test_candidates_of_a_large_space() -> None:
    space, rng = MobileNetV3Space(), np.random.default_rng(0)
    X = space.sample(20, rng)
    pool = unseen_candidates(space, X, np.arange(20.0), rng)
    neighbors = {tuple(row) for row in space.neighbors(X[-1])}
    assert 1500 < len(pool) <= 2000
    assert not {tuple(row) for row in pool} & {tuple(row) for row in X}
    assert len({tuple(row) for row in pool} & neighbors) > 5


# --- the past's best ------------------------------------------------------------------------


def test_best_of_past_takes_turns(toy: Toy) -> None:
    a, b, c, d = toy.rows[[3, 8, 20, 50]]
    history = [
        study_of(toy.space, [a, b, c], [1, 3, 2]),  # b, c, a
        study_of(toy.space, [a, b, d], [9, 7, 8]),  # a, d, b
    ]
    np.testing.assert_array_equal(best_of_past(history, toy.space, 9), [b, a, c, d])
    np.testing.assert_array_equal(best_of_past(history, toy.space, 3), [b, a, c])
    np.testing.assert_array_equal(best_of_past(history, toy.space, 9, each=1), [b, a])
