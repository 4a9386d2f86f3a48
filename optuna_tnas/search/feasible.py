"""Architectures that meet the constraints that are known before training."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from tqdm import tqdm

from optuna_tnas.errors import ConstraintError
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.fixed import architecture_of
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.fixed import with_fixed
from optuna_tnas.search.known import PATIENCE
from optuna_tnas.search.mutation import offspring
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.joint import architectures_of
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.spaces.rows import keys
from optuna_tnas.spaces.rows import without


_BATCH = 64  # random architectures, and feasible ones that are enough
_MAX_BATCHES = 16
_POOL = 1024  # architectures that evolution goes on from
_MAX_ROUNDS = 400  # of evolution, with up to some 180 new architectures each


def draw(
    space: SearchSpace,
    constraints: KnownConstraints,
    n: int,
    start: np.ndarray,
    avoided: np.ndarray,
    fixed: Fixed,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw architectures that agree with ``fixed`` and meet all constraints: ``m x P``, m >= 1.

    Without constraints, these are ``n`` random ones. In a listed space, all that there are, in
    random order. In a larger one, the feasible ones among up to 1024 random ones; if all of those
    are avoided, evolution continues from them and from ``start``.

    Args:
        space: The space.
        constraints: The constraints.
        n: Number of architectures without constraints.
        start: ``s x P`` architectures, such as the best trials.
        avoided: ``a x P`` architectures not to be content with unless nothing else is found.
        fixed: Choices that are made already.
        rng: Generator of everything random.

    Raises:
        ConstraintError: If no feasible architecture is found.
    """
    if not constraints.names:
        return with_fixed(space, space.sample(n, rng), fixed)
    architectures = architectures_of(space)
    if architectures.enumerable:
        X = rng.permutation(_listed(architectures, constraints, fixed))
        return X if isinstance(space, Space) else _joined(space, X[:n], fixed, rng)
    drawn = space.sample(0, rng)
    for _ in range(_MAX_BATCHES):
        drawn = np.concatenate([drawn, with_fixed(space, space.sample(_BATCH, rng), fixed)])
        found = drawn[constraints.feasible(drawn)]
        if len(found) >= _BATCH:
            break
    if len(without(found, avoided)):
        return found
    pool = np.unique(np.concatenate([with_fixed(space, start, fixed), drawn]), axis=0)
    return _evolved(space, constraints, pool, avoided, fixed, rng)


def _joined(
    space: JointSpace, X: np.ndarray, fixed: Fixed, rng: np.random.Generator
) -> np.ndarray:
    """Join ``n x P`` architectures and random hyper-parameters."""
    rows = np.concatenate([X, space.hyperparameters.sample(len(X), rng)], axis=1)
    return with_fixed(space, rows, fixed)


def _listed(space: Space, constraints: KnownConstraints, fixed: Fixed) -> np.ndarray:
    X = space.enumerate()
    X = X[agrees(space, X, architecture_of(space, fixed))]
    feasible = constraints.feasible(X)
    if not feasible.any():
        raise nothing_feasible(space, constraints, constraints.lowest(X), len(X), fixed)
    return np.asarray(X[feasible])


def _evolved(
    space: SearchSpace,
    constraints: KnownConstraints,
    pool: np.ndarray,
    avoided: np.ndarray,
    fixed: Fixed,
    rng: np.random.Generator,
) -> np.ndarray:
    """Change the least violating architectures of the pool until a feasible one is new."""
    evolution = _Evolution(space, constraints, pool)
    rounds = tqdm(range(_MAX_ROUNDS), "nothing feasible yet", delay=PATIENCE, leave=False)
    for _ in rounds:
        if len(without(evolution.found, avoided)):
            break
        evolution.step(fixed, rng)
    rounds.close()
    if len(evolution.found) == 0:
        raise nothing_feasible(space, constraints, evolution.lowest, evolution.n_tried, fixed)
    return evolution.found


class _Evolution:
    """Architectures in the order of their violations.

    Each step lists the neighbors of another one, so that no local minimum holds the search.
    """

    def __init__(
        self, space: SearchSpace, constraints: KnownConstraints, pool: np.ndarray
    ) -> None:
        self._space, self._constraints = space, constraints
        self._tried = set(keys(pool))
        self._X, self._values = pool, constraints.values(pool)
        self._expanded = np.zeros(len(pool), dtype=bool)
        self.lowest = constraints.lowest(pool)

    @property
    def found(self) -> np.ndarray:
        """The feasible architectures: ``m x P``."""
        return np.asarray(self._X[(self._values <= 0).all(axis=1)])

    @property
    def n_tried(self) -> int:
        """Number of different architectures so far."""
        return len(self._tried)

    def step(self, fixed: Fixed, rng: np.random.Generator) -> None:
        """Add neighbors of the best that was not expanded, mutants of the best, random ones."""
        violations = _violations(self._values)
        ties = rng.random(len(violations))
        self._keep(np.lexsort((ties, violations))[:_POOL])
        next_one = np.argmin(self._expanded)  # the first that was not
        self._expanded[next_one] = True
        ranked = np.concatenate([self._X[[next_one]], self._X])
        random = with_fixed(self._space, self._space.sample(_BATCH, rng), fixed)
        new = np.concatenate([offspring(self._space, ranked, fixed, rng), random])
        new = np.unique(new, axis=0)
        new = new[[key not in self._tried for key in keys(new)]]
        self._tried.update(keys(new))
        self.lowest = np.minimum(self.lowest, self._constraints.lowest(new))
        self._add(new)

    def _keep(self, rows: np.ndarray) -> None:
        self._X, self._values = self._X[rows], self._values[rows]
        self._expanded = self._expanded[rows]

    def _add(self, new: np.ndarray) -> None:
        self._X = np.concatenate([self._X, new])
        self._values = np.concatenate([self._values, self._constraints.values(new)])
        self._expanded = np.concatenate([self._expanded, np.zeros(len(new), dtype=bool)])


def _violations(values: np.ndarray) -> np.ndarray:
    """Sum the relative ranks of the violations, whose scales differ: ``n x K`` -> ``n``."""
    ranks = rankdata(np.maximum(values, 0), method="dense", axis=0) - 1
    return np.asarray((ranks / np.maximum(ranks.max(axis=0), 1)).sum(axis=1))


def nothing_feasible(
    space: SearchSpace,
    constraints: KnownConstraints,
    lowest: np.ndarray,
    n_tried: int,
    fixed: Fixed,
) -> ConstraintError:
    """Describe that none of the architectures that were tried is feasible.

    Args:
        space: The space.
        constraints: The constraints.
        lowest: ``K`` lowest values of the constraints.
        n_tried: Number of architectures.
        fixed: Choices that all of them have.
    """
    architectures = architectures_of(space)
    parameters, own = architectures.parameters, architecture_of(architectures, fixed)
    named = {parameters[p].name: parameters[p].choices[int(own[p])] for p in own}
    having = f" with {named}" if named else ""
    tried = "" if architectures.enumerable else " tried, random ones and what evolved from them,"
    values = zip(constraints.names, lowest, strict=True)
    return ConstraintError(
        f"None of {n_tried} architectures{having}{tried} meets all known constraints. Their "
        "lowest values, which must be 0 or less together: "
        f"{', '.join(f'{name} {value:g}' for name, value in values)}. Relax a constraint"
        f"{' or fix other parameters' if named else ''}."
    )
