"""All architectures of a space that can be listed, and which of them are the same network."""

from __future__ import annotations

import numpy as np

from optuna_tnas.spaces.space import Space


class Listing:
    """A space's architectures in lexicographic order, each with the number of its network.

    Args:
        space: A space that is ``enumerable``.

    Attributes:
        X: ``N x P`` architectures.
        network: ``N`` int64, the same for architectures that are the same network.
        first: ``C`` int64, the position of each network's first architecture.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.X = space.enumerate()
        self.indices = space.indices(self.X)  # ascending
        self.network = space.to_graphs(self.X).pruned().classes()[1]
        self.first = np.unique(self.network, return_index=True)[1]

    def networks_of(self, X: np.ndarray) -> np.ndarray:
        """Look up the networks of ``n x P`` architectures: ``n`` int64."""
        place = np.searchsorted(self.indices, self._space.indices(X))
        return np.asarray(self.network[place])

    def contained_in(self, X: np.ndarray) -> np.ndarray:
        """Tell which of the listed architectures are among ``n x P``: ``N`` bool."""
        return np.asarray(np.isin(self.indices, self._space.indices(X)))
