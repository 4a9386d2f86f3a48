"""A surrogate, GPs on some of its architectures, and questions to a search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.search import Search
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.study_model import StudyModel


Kind = Callable[[Space, StudyModel], Search]


class Case:
    """A study of ``n x P`` architectures with made-up values.

    Args:
        surrogate: The surrogate.
        X: The study's architectures.
    """

    def __init__(self, surrogate: MetaSurrogate, X: np.ndarray) -> None:
        self.surrogate = surrogate
        self.space = surrogate.space
        self.X = X
        noise = np.random.default_rng(0).standard_normal(len(X))
        self._y = torch.from_numpy(scale_labels(X.sum(axis=1) + 0.3 * noise))
        self._truth = self.by(ExhaustiveSearch if self.space.enumerable else EvolutionarySearch)

    def by(self, kind: Kind) -> Asked:
        """Ask a search of this kind."""
        search = kind(self.space, self.surrogate.study_model(None))
        return Asked(search, self.X, self._y)

    def values(self, X: np.ndarray) -> Tensor:
        """As the search of all architectures sees them: of equal networks, the first is asked."""
        return self._truth.values(X)


class Asked:
    """A search and its acquisition function on the study."""

    def __init__(self, search: Search, X: np.ndarray, y: Tensor) -> None:
        self.search = search
        self._X = X
        mixture = search.fit(X, y, 0)
        self.acquisition = Acquisition("qei", mixture, search.inputs(X[:0]), seed=0)

    def best(
        self, avoided: np.ndarray | None = None, fixed: Fixed | None = None, seed: int = 0
    ) -> np.ndarray:
        """Find the best architecture: ``P``."""
        nothing = self._X[:0] if avoided is None else avoided
        rng = np.random.default_rng(seed)
        return self.search.maximize(self.acquisition, self._X[:16], nothing, fixed or {}, rng)

    def values(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n``."""
        return self.acquisition.values(self.search.inputs(X))
