"""The interface of a study's model: features of architectures, and GPs fitted to trials."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor

from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.kernels import FeatureInputs


class Features(Protocol):
    """Maps architectures to the inputs of a study's GP."""

    @property
    def blocks(self) -> Blocks:
        """Columns of the inputs."""

    def __call__(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n x d`` float64."""


class StudyModel(Protocol):
    """What models a study on one data set."""

    @property
    def features(self) -> Features:
        """The map from architectures to the GP's inputs."""

    @property
    def no_past(self) -> float:
        """Probability, before there are trials, that the past studies say nothing."""

    @property
    def without_past(self) -> StudyModel:
        """The same model of outcomes that the past says nothing of."""

    def fit(
        self, inputs: FeatureInputs, x: Tensor, y: Tensor, noise: Tensor | None = None
    ) -> Mixture:
        """Fit GPs to a study's trials.

        Args:
            inputs: Reads ``x``.
            x: ``n x d`` float64, n >= 1.
            y: ``n`` float64 outcomes, as :func:`~optuna_tnas.surrogate.outcomes.scale_labels`
                scales them.
            noise: ``n`` float64, known variances of measurement beside the noise that is fitted;
                none unless given.
        """
