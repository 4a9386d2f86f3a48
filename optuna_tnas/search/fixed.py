"""Choices that are made already."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optuna_tnas.spaces import Space


Fixed = Mapping[int, int]  # parameter position -> choice position


def with_fixed(space: Space, X: np.ndarray, fixed: Fixed) -> np.ndarray:
    """Set the fixed choices in ``n x P`` architectures; what those switch off becomes 0."""
    X = X.copy()
    for parameter, choice in fixed.items():
        X[:, parameter] = choice
    return space.canonical(X)


def agrees(space: Space, X: np.ndarray, fixed: Fixed) -> np.ndarray:
    """Find the architectures that have all fixed choices that they depend on: ``n`` bool."""
    if not fixed:
        return np.ones(len(X), dtype=bool)
    return np.asarray((with_fixed(space, X, fixed) == X).all(axis=1))


def decided(space: Space, fixed: Fixed) -> np.ndarray | None:
    """Return the architecture (``P``) if the fixed choices leave none of its open; else None."""
    n = len(space.parameters)
    own = {column: value for column, value in fixed.items() if column < n}
    row = with_fixed(space, np.zeros((1, n), dtype=np.int64), own)
    return row[0] if set(np.flatnonzero(space.active(row)[0])) <= own.keys() else None
