"""The initial architectures against brute force over all sets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from optuna_tnas.config import Config
from optuna_tnas.meta.warm_start import _candidates
from optuna_tnas.meta.warm_start import choose_warm_start
from optuna_tnas.meta.warm_start import SIZE
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.start import greedy_cover


def cover(regrets: np.ndarray, chosen: list[int]) -> float:
    """Mean over the tasks of the best regret within the set."""
    return float(regrets[:, chosen].min(axis=1).mean())


def random_regrets(seed: int) -> np.ndarray:
    regrets = np.random.default_rng(seed).exponential(size=(6, 8))
    return regrets - regrets.min(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(20))
def test_sets_cover_nearly_as_well_as_the_best_of_their_size(seed: int) -> None:
    regrets = random_regrets(seed)
    order = greedy_cover(regrets, 8).tolist()
    worst = min(cover(regrets, [c]) for c in range(8))
    for size in (1, 2, 3, 4):
        best = min(cover(regrets, list(s)) for s in combinations(range(8), size))
        gained, possible = (worst - cover(regrets, order[:size]), worst - best)
        # What a greedy set gains is at least 1 - 1/e of what is possible.
        assert gained >= 0.63 * possible - 0.1


@pytest.mark.parametrize("seed", range(20))
def test_each_step_is_the_best_one(seed: int) -> None:
    regrets = random_regrets(seed)
    order = greedy_cover(regrets, 8).tolist()
    for size in range(8):
        scores = {
            c: cover(regrets, [*order[:size], c]) + 0.1 * regrets[:, c].mean()
            for c in range(8)
            if c not in order[:size]
        }
        assert scores[order[size]] == pytest.approx(min(scores.values()))


def test_complements_are_preferred_to_copies() -> None:
    """Tasks of two kinds: the second architecture is for the kind that the first is bad at."""
    regrets = np.array([[0.0, 0.0, 9.0, 1.0]] * 3 + [[9.0, 9.0, 0.0, 8.0]] * 2)
    assert set(greedy_cover(regrets, 2)) == {0, 2}


def test_nothing_comes_twice() -> None:
    regrets = np.zeros((3, 8))
    assert sorted(greedy_cover(regrets, 5)) == list(range(5))
    assert sorted(greedy_cover(regrets, 20)) == list(range(8))


@pytest.fixture
def history(space: Space, task_of: Callable[..., Task]) -> MetaDataset:
    return MetaDataset(space, tuple(task_of(seed) for seed in range(6)))


def test_chosen_ones_are_evaluated_ones_of_the_space(history: MetaDataset, config: Config) -> None:
    chosen = choose_warm_start(MetaSurrogate(history.space, config), history, None)
    known = {row.tobytes() for task in history.tasks for row in task.X}
    assert chosen.dtype == np.int64
    assert 5 < len(chosen) <= SIZE
    assert len(np.unique(chosen, axis=0)) == len(chosen)
    assert {row.tobytes() for row in chosen} <= known


def test_the_first_is_good_on_every_task(history: MetaDataset, config: Config) -> None:
    first = choose_warm_start(MetaSurrogate(history.space, config), history, None)[0]
    assert (first == 2).sum() >= 2  # convolutions are what all tasks want


def test_a_small_history_gives_a_small_set(space: Space, config: Config) -> None:
    X = np.array([[1, 1, 1], [2, 2, 2], [1, 1, 1]])
    history = MetaDataset(space, (Task("a", X, np.array([0.0, 2.0, 0.5])),))
    chosen = choose_warm_start(MetaSurrogate(space, config), history, None)
    assert chosen.tolist() == [[2, 2, 2], [1, 1, 1]]


def test_equal_values_are_survived(space: Space, config: Config) -> None:
    X = space.sample(10, np.random.default_rng(0))
    history = MetaDataset(space, (Task("a", X, np.full(10, 0.5)),))
    assert len(choose_warm_start(MetaSurrogate(space, config), history, None)) > 0


@pytest.mark.parametrize("n_tasks", [1, 100, 101, 700, 2001, 5000])
def test_candidates_are_bounded_and_of_all_tasks(n_tasks: int) -> None:
    """Every task has architectures of its own, the first of which is the best."""
    y = -np.arange(30.0)
    tasks = [Task(f"{q}", np.arange(30)[:, None] + 30 * q, y) for q in range(n_tasks)]
    found = _candidates(tasks)[:, 0]
    assert len(found) <= 2000
    assert len(np.unique(found // 30)) >= min(n_tasks, 1000)
    assert set(found % 30) == set(range(min(20, 2000 // min(n_tasks, 2000))))
