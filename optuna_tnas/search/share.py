"""A random share of the candidates, by which workers that chose the same one part."""

from __future__ import annotations

from math import ceil

import numpy as np
from torch import Tensor

from optuna_tnas.search.acquisition import Ranking


class ShareOf:
    """Ranks candidates as another ranking does, and chooses from a random share of them.

    Args:
        ranking: The other ranking.
        share: Of the candidates, from 0 to 1.
        rng: Generator of the draw.
    """

    def __init__(self, ranking: Ranking, share: float, rng: np.random.Generator) -> None:
        self.values = ranking.values
        self._ranking, self._share, self._rng = ranking, share, rng

    def best(self, x: Tensor, allowed: np.ndarray) -> int:
        """Choose the best of a random share of the allowed candidates."""
        return self._ranking.best(x, drawn(allowed, self._share, self._rng))


def drawn(candidates: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a share of candidates, at least one, in their order; all if the share is 1."""
    if share == 1:
        return candidates
    n = max(1, ceil(share * len(candidates)))
    return np.asarray(candidates[np.sort(rng.permutation(len(candidates))[:n])])
