"""The default model of a study: what the past predicts, and a residual that can unlearn it.

With the study's unit ``g``, the past studies' predictions ``mu_q``, each times its relevance, and
the correlations ``R_j``::

    y = g (c + sum_q w_q mu_q + f) + noise,    f ~ GP(0, sum_j v_j R_j)

The constant ``c`` and the weights ``w_q`` have normal priors and are integrated out.
Where hyper-parameters are searched beside the architecture, one more ``R_j`` reads all parameters,
each with a relevance of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpytorch.constraints import GreaterThan
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean
import torch
from torch import Tensor

from optuna_tnas.surrogate.evidence import center_of
from optuna_tnas.surrogate.evidence import Evidence
from optuna_tnas.surrogate.evidence import Scales
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.kernels import TransferKernel
from optuna_tnas.surrogate.study_model import Features


# Prior variance of a study's constant mean: nearly flat, since a few trials say little of it.
MEAN_VARIANCE = 100.0


@dataclass(frozen=True)
class WeightPrior:
    """Normal prior of the past studies' weights ``w_q``: a hypothesis on what the past says.

    Attributes:
        mean: Mean of each.
        variance: Variance of their mean; that of each of Q independent ones is Q times as large.
    """

    mean: float
    variance: float


# The past carries over, and may still be turned around: a quarter of this variance does about as
# well where the past is right, and takes far more trials where it is not.
RELATED = WeightPrior(mean=1.0, variance=1.0)
# If the past is wrong, trials contradict it. If it is merely uninformative about the optimum they
# may not, because all were taken where its prediction is high and flat.
UNRELATED = WeightPrior(mean=0.0, variance=0.0)


class TransferModel:
    """Two GPs on a study, weighed by their evidence: the past is related to it, or unrelated.

    Args:
        features: Latents, structure and the past's predictions on one data set.
        hypotheses: Priors of the past's weights; the first one alone without a past.
        relevances: Of each parameter, as past studies had them, NaN where they know nothing; none
            unless given.
    """

    def __init__(
        self,
        features: Features,
        hypotheses: Sequence[WeightPrior] = (RELATED, UNRELATED),
        relevances: Sequence[float] = (),
    ) -> None:
        self.features = features
        self._hypotheses, self._relevances = hypotheses, relevances

    @property
    def no_past(self) -> float:
        """See :class:`~optuna_tnas.surrogate.study_model.StudyModel`."""
        if self.features.blocks.n_predictions == 0:
            return 1.0
        return self._hypotheses.count(UNRELATED) / len(self._hypotheses)

    @property
    def without_past(self) -> TransferModel:
        """See :class:`~optuna_tnas.surrogate.study_model.StudyModel`."""
        return TransferModel(self.features, (UNRELATED,), self._relevances)

    def fit(
        self, inputs: FeatureInputs, x: Tensor, y: Tensor, noise: Tensor | None = None
    ) -> Mixture:
        """Fit the GPs; see :class:`~optuna_tnas.surrogate.study_model.StudyModel`."""
        distances = Distances.of(inputs, x, self._relevances)
        hypotheses = self._hypotheses if inputs.blocks.n_predictions else self._hypotheses[:1]
        gps = [fit_transfer_gp(inputs, x, y, distances, prior, noise) for prior in hypotheses]
        return Mixture(*gps)


@dataclass(frozen=True)
class Distances:
    """What all hypotheses share of ``n`` trials.

    Attributes:
        correlations: ``J x n x n``, of latents, of structure and perhaps of known features.
        differences: ``D x n x n``, squared, in each parameter that has a relevance.
        center: Medians of the scales' priors.
    """

    correlations: Tensor
    differences: Tensor
    center: Scales

    @classmethod
    def of(cls, inputs: FeatureInputs, x: Tensor, relevances: Sequence[float] = ()) -> Distances:
        """Compute them: ``n x d``, and ``D`` relevances as for :class:`TransferModel`."""
        differences = inputs.differences(x) if inputs.blocks.owners else torch.empty(0)
        center = center_of(len(differences), inputs.blocks.has_known)
        center = center.with_learned(relevances) if relevances else center
        return cls(torch.stack(list(inputs.correlations(x, x))), differences, center)


def fit_transfer_gp(
    inputs: FeatureInputs,
    x: Tensor,
    y: Tensor,
    distances: Distances,
    prior: WeightPrior,
    noise: Tensor | None = None,
) -> StudyGP:
    """Fit one hypothesis' GP.

    Args:
        inputs: Reads ``x``.
        x: ``n x d`` float64, n >= 1.
        y: ``n`` float64 scaled outcomes.
        distances: The trials'.
        prior: The hypothesis.
        noise: ``n`` float64, known variances of measurement; none unless given.
    """
    fit = evidence(inputs, x, y, distances, prior, noise).fit()
    unit = fit.scales.unit
    likelihood = GaussianLikelihood(noise_constraint=GreaterThan(1e-12)).double()
    likelihood.initialize(noise=fit.scales.noise * unit**2)
    gp = StudyGP(
        x,
        y.unsqueeze(-1),
        likelihood=likelihood,
        covar_module=_kernel(inputs, fit.scales, prior),
        mean_module=PastMean(inputs, unit * prior.mean),
        outcome_transform=None,
    )
    gp.eval().requires_grad_(False)
    gp.log_evidence = fit.log_evidence
    gp.factor, gp.alpha = unit * fit.factor, fit.alpha / unit
    if inputs.blocks.n_predictions > 0 and prior != UNRELATED:
        gp.past_weights = posterior_weights(inputs, prior, x, fit.alpha)
    return gp


def posterior_weights(
    inputs: FeatureInputs, prior: WeightPrior, x: Tensor, alpha: Tensor
) -> Tensor:
    """Compute the posterior means of the weights ``w_q``: ``C``.

    The covariance of a weight with the outcomes, in the study's unit, is its prior variance times
    what the study predicts for the trials.

    Args:
        inputs: Reads ``x``.
        prior: The weights' prior.
        x: ``n x d``, the trials.
        alpha: ``n``, their coefficients in the posterior mean, in the study's unit.
    """
    return prior.mean + _weight_variance(inputs, prior) * (alpha @ inputs.predictions(x))


def evidence(
    inputs: FeatureInputs,
    x: Tensor,
    y: Tensor,
    distances: Distances,
    prior: WeightPrior,
    noise: Tensor | None = None,
) -> Evidence:
    """Build the marginal likelihood that the scales are fitted to; see :func:`fit_transfer_gp`."""
    predicted = inputs.predictions(x)
    fixed = MEAN_VARIANCE + _weight_variance(inputs, prior) * predicted @ predicted.mT
    mean = prior.mean * predicted.sum(dim=1)
    shared = (distances.correlations, distances.center, distances.differences)
    return Evidence(y, mean, fixed, *shared, known=noise)


def _kernel(inputs: FeatureInputs, scales: Scales, prior: WeightPrior) -> TransferKernel:
    """Build the kernel in the outcomes' own unit."""
    squared = scales.unit**2
    variances = [squared * v for v in scales.variances]
    fixed = (squared * MEAN_VARIANCE, squared * _weight_variance(inputs, prior))
    return TransferKernel(inputs, variances, *fixed, scales.relevances).double()


def _weight_variance(inputs: FeatureInputs, prior: WeightPrior) -> float:
    """Prior variance of each prediction's weight."""
    return prior.variance * inputs.blocks.n_predictions


class PastMean(Mean):
    """The sum of the past studies' predictions times a weight.

    Args:
        inputs: Reads the mean's inputs.
        weight: The weight.
    """

    def __init__(self, inputs: FeatureInputs, weight: float) -> None:
        super().__init__()
        self._inputs = inputs
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """``... x n x d`` -> ``... x n``."""
        return self.weight * self._inputs.prior_mean(x)
