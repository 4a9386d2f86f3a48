"""Which architectures the acquisition is asked about, and how they are encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.rows import contained
from optuna_tnas.spaces.rows import without
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.kernels import Remembered
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


Fixed = Mapping[int, int]  # parameter position -> choice position


class Candidates(Protocol):
    """The candidates of one space under one surrogate and one data set."""

    def inputs(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n x d`` inputs of the study's GP."""

    def condition(self, X: np.ndarray, y: Tensor) -> Mixture:
        """The GPs on ``n x P`` architectures with ``n`` scaled labels."""

    def best(
        self,
        acquisition: Ranking,
        start: np.ndarray,
        avoided: np.ndarray,
        fixed: Fixed,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The architecture (``P``) with the best acquisition value.

        Args:
            acquisition: Ranks inputs.
            start: ``s x P`` architectures worth looking around, best first.
            avoided: ``m x P`` architectures not to choose unless nothing else is left.
            fixed: Choices that are already made.
            rng: For candidates drawn at random.
        """


def fix(space: Space, X: np.ndarray, fixed: Fixed) -> np.ndarray:
    """``n x P`` architectures with the fixed choices; what those switch off stays at 0."""
    X = X.copy()
    for parameter, choice in fixed.items():
        X[:, parameter] = choice
    return space.canonical(X)


def agrees(space: Space, X: np.ndarray, fixed: Fixed) -> np.ndarray:
    """``n`` bool: the architectures that have all fixed choices that they depend on."""
    return np.asarray((fix(space, X, fixed) == X).all(axis=1))


def candidates_of(surrogate: MetaSurrogate, dataset: DatasetSample | None) -> Candidates:
    """Score enumerable spaces whole and search the others."""
    if surrogate.space.enumerable:
        return WholeSpace(surrogate, dataset)
    return SearchedSpace(surrogate, dataset)


class WholeSpace:
    """Every architecture, encoded once; those that are the same network share one input."""

    def __init__(self, surrogate: MetaSurrogate, dataset: DatasetSample | None) -> None:
        self._space = surrogate.space
        self._X = surrogate.space.enumerate()  # N x P
        self._indices = self._space.indices(self._X)  # N, ascending
        self._group = surrogate.groups(self._X)  # N
        first = np.unique(self._group, return_index=True)[1]
        self._Z = surrogate.inputs(self._X[first], dataset)  # groups x d
        self._surrogate = surrogate
        self._remembered = Remembered(self._Z, surrogate.n_latents, surrogate.n_studies)

    def _groups_of(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self._group[np.searchsorted(self._indices, self._space.indices(X))])

    def inputs(self, X: np.ndarray) -> Tensor:
        """Looked up."""
        return self._Z[torch.from_numpy(self._groups_of(X))]

    def condition(self, X: np.ndarray, y: Tensor) -> Mixture:
        """Its correlations with the space are remembered."""
        return self._surrogate.condition(self.inputs(X), y, self._remembered)

    def best(
        self,
        acquisition: Ranking,
        start: np.ndarray,
        avoided: np.ndarray,
        fixed: Fixed,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The best that neither is an avoided network nor contradicts ``fixed``.

        If there is none: that is not an avoided architecture.
        """
        open_ = agrees(self._space, self._X, fixed)
        new_network = open_ & ~np.isin(self._group, self._groups_of(avoided))
        new = open_ & ~np.isin(self._indices, self._space.indices(avoided))
        rows = np.flatnonzero(next((some for some in (new_network, new) if some.any()), open_))
        chosen = acquisition.best(self._Z, np.unique(self._group[rows]))
        return np.asarray(self._X[rows[self._group[rows] == chosen][0]])


class SearchedSpace:
    """Evolution and local search on the acquisition, for spaces too large to list."""

    _N_RANDOM = 256
    _N_PARENTS = 32
    _N_CHILDREN = 4  # per parent
    _MAX_ROUNDS = 12

    def __init__(self, surrogate: MetaSurrogate, dataset: DatasetSample | None) -> None:
        self._surrogate = surrogate
        self._space = surrogate.space
        self._dataset = dataset

    def inputs(self, X: np.ndarray) -> Tensor:
        """Encoded when asked for."""
        return self._surrogate.inputs(X, self._dataset)

    def condition(self, X: np.ndarray, y: Tensor) -> Mixture:
        """Nothing is remembered: candidates are others each time."""
        return self._surrogate.condition(self.inputs(X), y)

    def best(
        self,
        acquisition: Ranking,
        start: np.ndarray,
        avoided: np.ndarray,
        fixed: Fixed,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Each round adds the best candidate's neighbors and mutants of the best few."""
        first = np.concatenate([start, self._space.sample(self._N_RANDOM, rng)])
        pool = self._fix(first, fixed)
        Z = self.inputs(pool)
        for _ in range(self._MAX_ROUNDS):
            ranking = torch.argsort(acquisition.values(Z), descending=True, stable=True).numpy()
            parents = pool[ranking[: self._N_PARENTS]]
            children = [self._space.neighbors(parents[0]), self._mutants(parents, rng)]
            new = without(self._fix(np.concatenate(children), fixed), pool)
            if len(new) == 0:
                break
            pool, Z = np.concatenate([pool, new]), torch.cat([Z, self.inputs(new)])
        allowed = ~contained(pool, avoided)
        rows = np.flatnonzero(allowed if allowed.any() else np.ones(len(pool), dtype=bool))
        return np.asarray(pool[acquisition.best(Z, rows)])

    def _fix(self, X: np.ndarray, fixed: Fixed) -> np.ndarray:
        return np.unique(fix(self._space, X, fixed), axis=0)

    def _mutants(self, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Parents with each parameter redrawn with probability ``2 / P``."""
        X = parents.repeat(self._N_CHILDREN, axis=0)
        redrawn = rng.random(X.shape) < 2 / X.shape[1]
        return np.where(redrawn, self._space.sample(len(X), rng), X)
