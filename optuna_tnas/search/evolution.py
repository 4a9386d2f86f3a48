"""Spaces too large to list: evolution and local search on the acquisition."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.fixed import with_fixed
from optuna_tnas.search.search import Search
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.rows import contained
from optuna_tnas.spaces.rows import without
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.study_model import StudyModel


class EvolutionarySearch(Search):
    """Maximizes an acquisition by evolution from the best trials and random architectures.

    Args:
        space: The space.
        model: The study's model.
    """

    _N_RANDOM = 64
    _N_PARENTS = 16
    _N_CHILDREN = 2  # per parent
    _MAX_ROUNDS = 8
    _MAX_NEIGHBORS = 128

    def __init__(self, space: Space, model: StudyModel) -> None:
        super().__init__(space, model, FeatureInputs(model.features.blocks))

    def inputs(self, X: np.ndarray) -> Tensor:
        """Compute the features of ``n x P`` architectures: ``n x d``."""
        return self._model.features(X)

    def maximize(
        self,
        ranking: Ranking,
        start: np.ndarray,
        avoided: np.ndarray,
        fixed: Fixed,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Find a good architecture (``P``) that agrees with ``fixed`` and is not avoided.

        Each round adds the best candidate's neighbors and mutants of the best few.
        """
        pool = self._agreeing(
            np.concatenate([start, self._space.sample(self._N_RANDOM, rng)]), fixed
        )
        x = self.inputs(pool)
        values = ranking.values(x)
        for _ in range(self._MAX_ROUNDS):
            best = torch.argsort(values, descending=True, stable=True).numpy()
            new = without(self._agreeing(self._offspring(pool[best], rng), fixed), pool)
            if len(new) == 0:
                break
            added = self.inputs(new)
            pool, x = np.concatenate([pool, new]), torch.cat([x, added])
            values = torch.cat([values, ranking.values(added)])
        allowed = ~contained(pool, avoided)
        rows = np.flatnonzero(allowed if allowed.any() else np.ones(len(pool), dtype=bool))
        return np.asarray(pool[ranking.best(x, rows)])

    def _offspring(self, ranked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        parents = ranked[: self._N_PARENTS]
        near = self._space.neighbors(parents[0], self._MAX_NEIGHBORS, rng)
        return np.concatenate([near, self._mutants(parents, rng)])

    def _agreeing(self, X: np.ndarray, fixed: Fixed) -> np.ndarray:
        return np.unique(with_fixed(self._space, X, fixed), axis=0)

    def _mutants(self, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Redraw each parameter of the parents with probability ``2 / P``."""
        X = parents.repeat(self._N_CHILDREN, axis=0)
        redrawn = rng.random(X.shape) < 2 / X.shape[1]
        return np.where(redrawn, self._space.sample(len(X), rng), X)
