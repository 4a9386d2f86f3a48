"""Small changes of architectures, by which large spaces are searched."""

from __future__ import annotations

import numpy as np

from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.fixed import with_fixed
from optuna_tnas.spaces.joint import SearchSpace


_N_PARENTS = 16
_N_CHILDREN = 2  # per parent
_MAX_NEIGHBORS = 128


def offspring(
    space: SearchSpace, ranked: np.ndarray, fixed: Fixed, rng: np.random.Generator
) -> np.ndarray:
    """List the best architecture's neighbors and mutants of the best few: ``m x P``.

    Args:
        space: The space.
        ranked: ``n x P`` architectures, best first.
        fixed: Choices that are made already.
        rng: Generator of the mutations.
    """
    parents = ranked[:_N_PARENTS]
    near = space.neighbors(parents[0], _MAX_NEIGHBORS, rng)
    changed = np.concatenate([near, _mutants(space, parents, rng)])
    return np.unique(with_fixed(space, changed, fixed), axis=0)


def _mutants(space: SearchSpace, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Redraw each parameter of the parents with probability ``2 / P``."""
    X = parents.repeat(_N_CHILDREN, axis=0)
    redrawn = rng.random(X.shape) < 2 / X.shape[1]
    return np.where(redrawn, space.sample(len(X), rng), X)
