"""Tell architectures apart by what they compute."""

from __future__ import annotations

import numpy as np

from optuna_tnas.spaces import Space


def distinct(space: Space, X: np.ndarray) -> np.ndarray:
    """Drop those of ``n x P`` architectures whose pruned graph an earlier one has."""
    _, graph = space.to_graphs(X).pruned().unique()
    return np.asarray(X[np.sort(np.unique(graph, return_index=True)[1])])
