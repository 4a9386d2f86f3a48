"""The interface of a search for the architecture with the best value of a ranking."""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.spaces.joint import architectures_of
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.study_model import StudyModel


class Search(ABC):
    """Finds the architecture of a space with the best value of a ranking.

    Args:
        space: The space.
        model: The study's model.
        inputs: Reads the inputs of the model's GPs.
        constraints: Limits that are known before training; none unless given.
        cheap: Objectives that are known without training; none unless given.
    """

    def __init__(
        self,
        space: SearchSpace,
        model: StudyModel,
        inputs: FeatureInputs,
        constraints: KnownConstraints | None = None,
        cheap: CheapObjectives | None = None,
    ) -> None:
        self._space, self._model, self._inputs = space, model, inputs
        self._constraints = constraints or KnownConstraints(architectures_of(space))
        self._cheap = cheap or CheapObjectives(architectures_of(space))
        self._of_metric: dict[int, FeatureInputs] = {}

    @abstractmethod
    def inputs(self, X: np.ndarray) -> Tensor:
        """``n`` rows of the space -> ``n x d`` inputs of the study's GPs."""

    @property
    def has_past(self) -> bool:
        """Whether past studies predict."""
        return self._inputs.blocks.n_predictions > 0

    @property
    def no_past(self) -> float:
        """Probability, before there are trials, that the past studies say nothing."""
        return self._model.no_past

    @property
    def cheap_names(self) -> list[str]:
        """The names of the cheap objectives."""
        return self._cheap.names

    def cheap(self, name: str, x: Tensor) -> Tensor:
        """Return a cheap objective's values in its own unit: ``n x d`` -> ``n``."""
        column = self.cheap_names.index(name) - len(self.cheap_names)
        return self._inputs.features(x)[:, column]

    def cheap_sample(self, name: str) -> np.ndarray:
        """Return a cheap objective's values for 256 random architectures."""
        X = architectures_of(self._space).sample(256, np.random.default_rng(0))
        return np.asarray(self._cheap.values(X)[:, self.cheap_names.index(name)])

    def _inputs_of(self, metric: int) -> FeatureInputs:
        """The inputs with the predictions of one metric of the past."""
        if not self._inputs.blocks.metrics:
            return self._inputs
        if metric not in self._of_metric:
            self._of_metric[metric] = self._inputs.of_metric(metric)
        return self._of_metric[metric]

    def prior_mean(self, x: Tensor, metric: int) -> Tensor:
        """Predict a metric from the past alone: ``n x d`` -> ``n``."""
        return self._inputs_of(metric).prior_mean(x)

    def fit(
        self, X: np.ndarray, y: Tensor, metric: int | None, noise: Tensor | None = None
    ) -> Mixture:
        """Fit the GPs to trials.

        Args:
            X: ``n`` rows of the space.
            y: ``n`` scaled outcomes.
            metric: Position of the metric whose past helps; None if none does.
            noise: ``n``, known variances of measurement; none unless given.
        """
        if metric is None:
            return self._model.without_past.fit(self._inputs, self.inputs(X), y, noise)
        return self._model.fit(self._inputs_of(metric), self.inputs(X), y, noise)

    def _features(self, X: np.ndarray) -> Tensor:
        """Compute the model's features, and beside them the cheap objectives: ``n x d``."""
        features = self._model.features(X)
        if not self._cheap.names:
            return features
        return torch.cat([features, torch.from_numpy(self._cheap.values(X))], dim=1)

    @abstractmethod
    def maximize(
        self,
        ranking: Ranking,
        start: np.ndarray,
        avoided: np.ndarray,
        fixed: Fixed,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Find the best feasible architecture (``P``) that has what is fixed and is not avoided.

        Args:
            ranking: Ranks inputs.
            start: ``s x P`` architectures worth looking around, best first.
            avoided: ``m x P`` architectures not to choose unless nothing else is left.
            fixed: Choices that are made already.
            rng: Generator of candidates drawn at random.

        Raises:
            ConstraintError: If no feasible architecture that agrees with ``fixed`` is found.
        """
