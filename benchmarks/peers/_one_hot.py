"""Encode choices as zeros and ones, for peers that do not read a graph."""

from __future__ import annotations

import numpy as np

from optuna_tnas.spaces import Space


def one_hot(space: Space, X: np.ndarray) -> np.ndarray:
    """Encode ``n x P`` positions as ``n x sum(n_choices)``, 0 where a parameter is inactive."""
    active = space.active(X)
    columns = [(X[:, [i]] == np.arange(n)) & active[:, [i]] for i, n in enumerate(space.n_choices)]
    return np.concatenate(columns, axis=1).astype(np.float64)
