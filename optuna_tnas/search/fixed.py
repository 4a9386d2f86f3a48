"""Choices that are made already."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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
