"""The default model of a study: what the past predicts, and a residual that can unlearn it.

With the study's unit ``g``, the past studies' predictions ``mu_q``, each times its relevance, and
the correlations ``R_j``::

    y = g (c + w mu + sum_q b_q mu_q + f) + noise,    f ~ GP(0, sum_j v_j R_j)

``mu`` is the sum of the ``mu_q``. The constant ``c``, the weight ``w`` of the past as a whole and
the studies' weights ``b_q``, which sum to 0, have normal priors; those of ``c`` and the ``b_q``
are around 0. All three are integrated out while the rest is fitted, ``c`` and ``w`` also when
candidates are scored. The ``b_q`` are then the most probable ones: as uncertain ones they would
count as chances of improvement, and expected improvement would go after whatever any single past
study promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpytorch.constraints import GreaterThan
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean
import torch
from torch import Tensor

from optuna_tnas.surrogate.evidence import Evidence
from optuna_tnas.surrogate.evidence import Fit
from optuna_tnas.surrogate.evidence import Scales
from optuna_tnas.surrogate.features import FeatureMap
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.kernels import TransferKernel


# Prior variance of a study's constant mean: nearly flat, since a few trials say little of it.
MEAN_VARIANCE = 100.0
# Medians of the priors of the scales, in units of the past's scaled outcomes.
CENTER = Scales(unit=1.0, variances=(1.0, 1.0), noise=0.02)


@dataclass(frozen=True)
class WeightPrior:
    """Normal priors of the past studies' weights: a hypothesis on what the past says.

    Attributes:
        mean: Prior mean of the weight of the past as a whole.
        variance: Prior variance of that weight.
        study_variance: Prior variance of the studies' weights around it, times Q for each of Q
            studies, so that it is the same for the mean of any number of them.
    """

    mean: float
    variance: float
    study_variance: float


# The past carries over, and may still be turned around: a quarter of this variance does about as
# well where the past is right, and takes far more trials where it is not.
RELATED = WeightPrior(mean=1.0, variance=1.0, study_variance=4.0)
# If the past is wrong, trials contradict it. If it is merely uninformative about the optimum they
# may not, because all were taken where its prediction is high and flat.
UNRELATED = WeightPrior(mean=0.0, variance=0.0, study_variance=0.0)


class TransferModel:
    """Two GPs on a study, weighed by their evidence: the past is related to it, or unrelated.

    Args:
        features: Latents, structure and the past's predictions on one data set.
        hypotheses: Priors of the past's weights; the first one alone without a past.
    """

    def __init__(
        self, features: FeatureMap, hypotheses: Sequence[WeightPrior] = (RELATED, UNRELATED)
    ) -> None:
        self.features = features
        self._hypotheses = hypotheses

    def fit(self, inputs: FeatureInputs, x: Tensor, y: Tensor) -> Mixture:
        """Fit the GPs; see :class:`~optuna_tnas.surrogate.study_model.StudyModel`."""
        trials = _Trials(inputs, x, y)
        hypotheses = self._hypotheses if inputs.blocks.n_predictions else self._hypotheses[:1]
        return Mixture(*(fit_transfer_gp(trials, prior) for prior in hypotheses))


class _Trials:
    """A study's trials and what all hypotheses share of them.

    Attributes:
        predictions: ``n x Q``, the past studies' predictions.
        correlations: ``2 x n x n``.
    """

    def __init__(self, inputs: FeatureInputs, x: Tensor, y: Tensor) -> None:
        self.inputs, self.x, self.y = inputs, x, y
        self.predictions = inputs.predictions(x)
        self.correlations = torch.stack(inputs.correlations(x, x))

    @property
    def prior_mean(self) -> Tensor:
        """``n``, the sum of the predictions."""
        return self.predictions.sum(dim=1)

    @property
    def deviations(self) -> Tensor:
        """``n x Q``, the predictions without their mean."""
        n_studies = max(1, self.predictions.shape[1])
        return self.predictions - self.prior_mean.unsqueeze(1) / n_studies


def fit_transfer_gp(trials: _Trials, prior: WeightPrior) -> StudyGP:
    """Fit one hypothesis' GP."""
    fit = evidence(trials, prior).fit()
    scales = fit.scales
    likelihood = GaussianLikelihood(noise_constraint=GreaterThan(1e-12)).double()
    likelihood.initialize(noise=scales.noise * scales.unit**2)
    gp = StudyGP(
        trials.x,
        trials.y.unsqueeze(-1),
        likelihood=likelihood,
        covar_module=_kernel(trials.inputs, scales, prior),
        mean_module=PastMean(trials.inputs, scales.unit * _weights(trials, fit, prior)),
        outcome_transform=None,
    )
    gp.eval().requires_grad_(False)
    gp.log_evidence = fit.log_evidence
    return gp


def _kernel(inputs: FeatureInputs, scales: Scales, prior: WeightPrior) -> TransferKernel:
    """Build the kernel in the outcomes' own unit."""
    squared = scales.unit**2
    variances = [squared * v for v in scales.variances]
    return TransferKernel(
        inputs, variances, squared * MEAN_VARIANCE, squared * prior.variance
    ).double()


@torch.no_grad()
def evidence(trials: _Trials, prior: WeightPrior) -> Evidence:
    """Build the marginal likelihood that the scales are fitted to."""
    predicted, deviations = trials.prior_mean, trials.deviations
    fixed = MEAN_VARIANCE + prior.variance * torch.outer(predicted, predicted)
    fixed += _study_variance(trials, prior) * deviations @ deviations.mT
    return Evidence(trials.y, prior.mean * predicted, fixed, trials.correlations, CENTER)


def _weights(trials: _Trials, fit: Fit, prior: WeightPrior) -> Tensor:
    """Add the prior mean of ``w`` to the most probable ``b_q``: ``Q``."""
    return prior.mean + _study_variance(trials, prior) * trials.deviations.mT @ fit.alpha


def _study_variance(trials: _Trials, prior: WeightPrior) -> float:
    return prior.study_variance * trials.predictions.shape[1]


class PastMean(Mean):
    """A weighted sum of the past studies' predictions.

    Args:
        inputs: Reads the mean's inputs.
        weights: ``Q``.
    """

    def __init__(self, inputs: FeatureInputs, weights: Tensor) -> None:
        super().__init__()
        self._inputs = inputs
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        """``... x n x d`` -> ``... x n``."""
        return self._inputs.predictions(x) @ self.weights
