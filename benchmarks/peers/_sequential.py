"""An Optuna sampler around a function of the trials so far, for peers written from papers."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from benchmarks.peers._joint import JointSpace
from benchmarks.peers._mutation import untried
from optuna_tnas.spaces import Space


# n x P architectures, n values (higher is better), a generator -> the next architecture, P
Propose = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
Searched = Space | JointSpace


class SequentialSampler(BaseSampler):
    """Tries the initial architectures in their order, then what ``propose`` returns.

    With hyper-parameters an architecture is a row of :class:`JointSpace`, here and below.

    Args:
        space: The search space.
        propose: Chooses the next architecture from the finished trials.
        initial: ``w x P``, tried first; a trial's number is its row.
        seed: Same seed, same trials.
    """

    def __init__(self, space: Searched, propose: Propose, initial: np.ndarray, seed: int) -> None:
        self._space = space
        self._propose = propose
        self._initial = initial
        self._seed = seed

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(self._space.distributions())

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if trial.number < len(self._initial):
            return self._space.decode(self._initial[trial.number], inactive=True)
        rng = np.random.default_rng([self._seed, trial.number])
        X, y = finished(study, self._space)
        return self._space.decode(self._propose(X, y, rng), inactive=True)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return RandomSampler(seed=self._seed).sample_independent(
            study, trial, param_name, param_distribution
        )


def best_first(
    space: Searched, pool: np.ndarray, predicted: np.ndarray, seed: int
) -> SequentialSampler:
    """Try ``m x P`` architectures in the order of their ``m`` predictions, then random ones."""
    ranked = pool[np.argsort(-predicted, kind="stable")]

    def random(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(space.sample(1, rng)[0])

    return SequentialSampler(space, random, ranked, seed)


def finished(study: Study, space: Searched) -> tuple[np.ndarray, np.ndarray]:
    """Read the finished trials of a maximized study: ``n x P`` architectures, ``n`` values."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = np.array([t.value for t in trials], dtype=np.float64)
    if not trials:
        return np.empty((0, len(space.parameters)), dtype=np.int64), values
    return np.array([space.encode(t.params) for t in trials]), values


def random_initial(space: Searched, n: int, seed: int) -> np.ndarray:
    """Draw ``n x P`` random different architectures."""
    rng = np.random.default_rng([seed, 0])
    X = np.empty((0, len(space.parameters)), dtype=np.int64)
    while len(X) < n:
        X = np.concatenate([X, space.sample(n, rng)])
        X = X[np.sort(np.unique(X, axis=0, return_index=True)[1])]
    return X[:n]


def best_of_past(
    history: Sequence[Study], space: Searched, n: int, each: int | None = None
) -> np.ndarray:
    """Return the past studies' best different architectures, round robin: at most ``n x P``.

    Args:
        history: The past studies.
        space: The search space.
        n: How many there may be.
        each: How many of one study there may be; duplicates count.
    """
    past = [finished(study, space) for study in history]
    ranked = [X[np.argsort(-y, kind="stable")[:each]] for X, y in past]
    rows = [X[i] for i in range(max(map(len, ranked))) for X in ranked if i < len(X)]
    first = np.sort(np.unique(np.array(rows), axis=0, return_index=True)[1])
    return np.array(rows)[first][:n]


def unseen_candidates(
    space: Searched, X: np.ndarray, y: np.ndarray, rng: np.random.Generator, n: int = 2000
) -> np.ndarray:
    """Return untried architectures: all of an enumerable space, else samples and mutants.

    Mutants are neighbors of the ten best so far.
    """
    if space.enumerable:
        pool, numbers = everything(space)
        new = pool[~np.isin(numbers, number(space, X))]
    else:
        pool = np.unique(np.concatenate(_near_and_far(space, X, y, rng, n // 2)), axis=0)
        new = untried(pool, X)
    return new if len(new) else pool


@lru_cache(maxsize=2)
def everything(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Enumerate a space: ``N x P`` and the ``N`` rows' numbers, which ascend."""
    X = space.enumerate()
    X.flags.writeable = False  # the next caller gets the same array
    return X, number(space, X)


def number(space: Space, X: np.ndarray) -> np.ndarray:
    """Number the architectures of an enumerable space."""
    return np.asarray(np.ravel_multi_index(tuple(X.T), tuple(space.n_choices)))


def _near_and_far(
    space: Searched, X: np.ndarray, y: np.ndarray, rng: np.random.Generator, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n`` random architectures, and at most ``n`` neighbors of the ten best.

    With hyper-parameters, ``n`` random changes of the ten best.
    """
    best = X[np.argsort(-y, kind="stable")[:10]]
    if isinstance(space, JointSpace):
        return space.sample(n, rng), space.perturb(best[rng.integers(len(best), size=n)], rng)
    around = np.concatenate([space.neighbors(row) for row in best])
    return space.sample(n, rng), around[rng.permutation(len(around))[:n]]
