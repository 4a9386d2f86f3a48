"""Measured constraints: how probable it is that an architecture meets them.

Gardner et al., "Bayesian optimization with inequality constraints" (ICML 2014): expected
improvement over the best feasible value, times the probability of feasibility. Whether a trial
fails is one more constraint, of which no more is known than whether it was met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.acquisition import CHUNK
from optuna_tnas.search.helped import HelpedMetrics
from optuna_tnas.search.search import Search
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.outcomes import scale_labels


MAX_FAILED = 128  # failed trials that are learned from, the latest ones


@dataclass(frozen=True)
class MeasuredConstraint:
    """Models one constraint on the study's trials.

    Attributes:
        mixture: GPs on its negated values, scaled.
        limit: The scaled value from which on it is met.
    """

    mixture: Mixture
    limit: float

    def log_probability(self, x: Tensor) -> Tensor:
        """Log probability that ``n x d`` inputs meet it: ``n``."""
        logs = []
        for gp in self.mixture.gps:
            posterior = gp.posterior(x.unsqueeze(-2))
            above = (posterior.mean - self.limit) / posterior.variance.sqrt()
            logs.append(torch.special.log_ndtr(above.flatten()))
        weighted = torch.stack(logs, dim=1) + self.mixture.probabilities.log()
        return weighted.logsumexp(dim=1)


@dataclass(frozen=True)
class Feasibility:
    """Models all constraints of a study.

    Attributes:
        feasible: ``n`` bool, which of the trials that the objective's GPs are on are feasible.
        constraints: The constraints, at least one.
    """

    feasible: Tensor
    constraints: Sequence[MeasuredConstraint]

    def log_probability(self, x: Tensor) -> Tensor:
        """Log probability that ``n x d`` inputs meet all of them: ``n``."""
        return torch.cat([self._log_probability(part) for part in x.split(CHUNK)])

    def _log_probability(self, x: Tensor) -> Tensor:
        return torch.stack([c.log_probability(x) for c in self.constraints]).sum(dim=0)


def fit_constraints(
    search: Search, study: Observations, kept: np.ndarray, helped: HelpedMetrics
) -> Feasibility | None:
    """Fit a study's constraints, its failures among them; None if it has none.

    Args:
        search: Fits the GPs.
        study: The study's trials.
        kept: Positions of the trials that the GPs are conditioned on.
        helped: Finds the past of a constraint.
    """
    fitted = [
        _fitted(search, study.X[kept], values[kept], helped.of_constraint(name))
        for name, values in study.constraints.items()
    ]
    if study.n_failed:
        fitted.append(_success(search, study, kept))
    constraints = [constraint for constraint in fitted if constraint]
    if not constraints:
        return None
    return Feasibility(torch.from_numpy(study.feasible[kept]), constraints)


def _success(search: Search, study: Observations, kept: np.ndarray) -> MeasuredConstraint | None:
    """Fit whether a trial completes, to the trials that did and those that failed."""
    assert study.failed is not None
    failed = study.failed[-MAX_FAILED:]
    values = np.repeat([1.0, -1.0], [len(failed), len(kept)])
    return _fitted(search, np.concatenate([failed, study.X[kept]]), values, None)


def _fitted(
    search: Search, X: np.ndarray, values: np.ndarray, metric: int | None
) -> MeasuredConstraint | None:
    """Fit one constraint to the trials that have it; None if none has."""
    known = ~np.isnan(values)
    if not known.any():
        return None
    scaled = scale_labels(np.append(-values[known], 0.0))
    mixture = search.fit(X[known], torch.from_numpy(scaled[:-1]), metric)
    return MeasuredConstraint(mixture, float(scaled[-1]))
