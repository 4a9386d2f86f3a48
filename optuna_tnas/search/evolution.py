"""Spaces too large to list: evolution and local search on the acquisition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.acquisition import PriorMean
from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.feasible import draw
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.fixed import with_fixed
from optuna_tnas.search.mutation import offspring
from optuna_tnas.search.search import Search
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.spaces.rows import contained
from optuna_tnas.spaces.rows import without
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.study_model import StudyModel


class _Effort(NamedTuple):
    """Random architectures to draw, then rounds of evolution."""

    n_random: int
    n_rounds: int


_USUAL = _Effort(64, 8)
# A study's first architecture: nothing but the past's prediction counts, and it is chosen once.
_FIRST = _Effort(400, 24)


class EvolutionarySearch(Search):
    """Maximizes an acquisition by evolution from the best trials and random architectures.

    Args:
        space: The space.
        model: The study's model.
        constraints: Limits that are known before training; none unless given.
        cheap: Objectives that are known without training; none unless given.
    """

    def __init__(
        self,
        space: SearchSpace,
        model: StudyModel,
        constraints: KnownConstraints | None = None,
        cheap: CheapObjectives | None = None,
    ) -> None:
        super().__init__(space, model, FeatureInputs(model.features.blocks), constraints, cheap)

    def inputs(self, X: np.ndarray) -> Tensor:
        """Compute the features of ``n x P`` architectures: ``n x d``."""
        return self._features(X)

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
        constraints = self._constraints.under(fixed)
        effort = _FIRST if isinstance(ranking, PriorMean) else _USUAL
        drawn = draw(self._space, constraints, effort.n_random, start, avoided, fixed, rng)
        pool = self._agreeing(np.concatenate([start, drawn]), fixed)
        x = self.inputs(pool)
        values = ranking.values(x)
        for _ in range(effort.n_rounds):
            best = torch.argsort(values, descending=True, stable=True).numpy()
            changed = offspring(self._space, pool[best], fixed, rng)
            new = without(self._agreeing(changed, fixed), pool)
            if len(new) == 0:
                break
            added = self.inputs(new)
            pool, x = np.concatenate([pool, new]), torch.cat([x, added])
            values = torch.cat([values, ranking.values(added)])
        allowed = ~contained(pool, avoided)
        rows = np.flatnonzero(allowed if allowed.any() else np.ones(len(pool), dtype=bool))
        return np.asarray(pool[ranking.best(x, rows)])

    def _agreeing(self, X: np.ndarray, fixed: Fixed) -> np.ndarray:
        """Set the fixed choices, and keep what is feasible."""
        X = np.unique(with_fixed(self._space, X, fixed), axis=0)
        return np.asarray(X[self._constraints.under(fixed).feasible(X)])
