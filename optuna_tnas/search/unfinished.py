"""A study's observations with what unfinished trials reported among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optuna.logging import get_logger
import torch
from torch import Tensor

from optuna_tnas.search.informative import informative
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.unfinished import Agreement
from optuna_tnas.surrogate.unfinished import estimates
from optuna_tnas.surrogate.unfinished import UNKNOWN


_logger = get_logger(f"optuna.{__name__}")

_REVERSED = (
    "Where trials of this study report high values they end with low ones, so what they report is "
    "read the other way around. Report what the study optimizes (trial.report)."
)


@dataclass(frozen=True)
class Outcomes:
    """What the GPs of an objective are conditioned on.

    Attributes:
        X: ``n`` rows, completed trials first.
        y: ``n`` float64 scaled outcomes.
        noise: ``n`` float64, known variances of measurement; None if there are none.
    """

    X: np.ndarray
    y: Tensor
    noise: Tensor | None = None

    def with_measured(self, X: np.ndarray, y: np.ndarray, noise: np.ndarray) -> Outcomes:
        """Append measurements with known variances."""
        every = torch.cat([torch.zeros_like(self.y), torch.from_numpy(noise)])
        values = torch.cat([self.y, torch.from_numpy(y)])
        return Outcomes(np.concatenate([self.X, X]), values, every)


class UnfinishedTrials:
    """Adds what pruned and running trials reported to what completed ones gave.

    Args:
        considered: Whether it does.
        agreement: Of reports with final outcomes, in past studies.
    """

    def __init__(self, considered: bool, agreement: Agreement = UNKNOWN) -> None:
        self.considered, self._agreement = considered, agreement
        self._has_warned = False

    def outcomes(self, study: Observations, kept: np.ndarray) -> Outcomes:
        """Collect the outcomes that a study's GPs are conditioned on.

        Args:
            study: The study's trials.
            kept: Positions of the completed trials among them.
        """
        scaled = scale_labels(study.y)
        completed = Outcomes(study.X[kept], torch.from_numpy(scaled[kept]))
        if study.curves is None or not self.considered:
            return completed
        curves = study.curves
        told = estimates(curves.unfinished, curves.completed, scaled, self._agreement)
        self._warn_if(told.reversed)
        told = told.at(informative(told.values))
        return completed.with_measured(curves.X[told.positions], told.values, told.noise)

    def _warn_if(self, is_reversed: bool) -> None:
        if is_reversed and not self._has_warned:
            self._has_warned = True
            _logger.warning(_REVERSED)
