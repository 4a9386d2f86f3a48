"""Sets of architectures: rows of choice positions, compared as wholes."""

from __future__ import annotations

import numpy as np


def keys(X: np.ndarray) -> list[bytes]:
    """Return a hashable key for each of ``n x P`` rows; equal rows have equal keys."""
    whole = np.issubdtype(X.dtype, np.integer)
    return [row.tobytes() for row in np.ascontiguousarray(X, dtype=np.int64 if whole else None)]


def contained(X: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tell which rows of ``X`` (``n x P``) are among ``others`` (``m x P``): ``n`` bool."""
    known = set(keys(others))
    return np.array([key in known for key in keys(X)], dtype=bool)


def without(X: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Remove the rows of ``others`` from ``X``; the rest keeps its order."""
    return np.asarray(X[~contained(X, others)])


def positions(X: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Find each row of ``X`` in ``table``.

    Args:
        X: ``n x P`` rows, each of them in the table.
        table: ``m x P`` different rows.

    Returns:
        ``n`` int64, ``X == table[positions]``.

    Raises:
        KeyError: If a row is not in the table.
    """
    places = {key: place for place, key in enumerate(keys(table))}
    return np.array([places[key] for key in keys(X)], dtype=np.int64)


def best(X: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Select the ``k`` rows with the highest values, best first; of equal values the first.

    Args:
        X: ``n x P``.
        y: ``n`` values, higher is better.
        k: Number of rows; all are returned if there are fewer.
    """
    return np.asarray(X[np.argsort(-y, kind="stable")[:k]])
