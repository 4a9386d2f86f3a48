"""Choices that are made already."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optuna_tnas.spaces import Space
from optuna_tnas.spaces.joint import SearchSpace


Fixed = Mapping[int, float]  # column of a row -> its value


def with_fixed(space: SearchSpace, X: np.ndarray, fixed: Fixed) -> np.ndarray:
    """Set the fixed choices in ``n x P`` architectures; what those switch off becomes 0."""
    X = X.copy()
    for column, value in fixed.items():
        X[:, column] = value
    return space.canonical(X)


def agrees(space: SearchSpace, X: np.ndarray, fixed: Fixed) -> np.ndarray:
    """Find the architectures that have all fixed choices that they depend on: ``n`` bool."""
    if not fixed:
        return np.ones(len(X), dtype=bool)
    return np.asarray((with_fixed(space, X, fixed) == X).all(axis=1))


def architecture_of(space: Space, fixed: Fixed) -> Fixed:
    """Leave out what is fixed beside the architecture."""
    return {column: x for column, x in fixed.items() if column < len(space.parameters)}


def decided(space: Space, fixed: Fixed) -> np.ndarray | None:
    """Return the architecture (``P``) if the fixed choices leave none of its open; else None."""
    own = architecture_of(space, fixed)
    row = with_fixed(space, np.zeros((1, len(space.parameters)), dtype=np.int64), own)
    return row[0] if set(np.flatnonzero(space.active(row)[0])) <= own.keys() else None
