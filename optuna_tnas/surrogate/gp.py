"""The Gaussian process on one study: the default one and the published one.

Notation: ``Z`` are latents (xi's outputs, ``n x M``), ``y`` scaled labels (``n``). The encoders
stay as meta-learned; what adapts to the study are the GP's own hyper-parameters.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botorch.models import SingleTaskGP
from botorch.posteriors import GPyTorchPosterior
from gpytorch.constraints import GreaterThan
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import MaternKernel
from gpytorch.kernels import ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean
from gpytorch.means import Mean
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.cholesky import psd_safe_cholesky
import numpy as np
import torch
from torch import Tensor

from optuna_tnas.surrogate.evidence import Evidence
from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.evidence import Scales
from optuna_tnas.surrogate.kernels import predictions
from optuna_tnas.surrogate.kernels import Remembered
from optuna_tnas.surrogate.kernels import TransferKernel


# Medians of the priors of what is fitted, in units of the past's scaled labels.
CENTER = Scales(label=1.0, variances=(1.0, 1.0), noise=0.02)
_FEW = 32  # trials, which bound the variance


@dataclass(frozen=True)
class HyperParameters:
    """Those of the published GP, for labels of variance 1."""

    mean: float = 0.0
    outputscale: float = 1.0
    lengthscale: float = 1.0
    noise: float = 0.05


@dataclass(frozen=True)
class WeightPrior:
    """The past studies' weights before there are trials; normal.

    Attributes:
        mean: Of the weight of the past as a whole.
        variance: Of it.
        study_variance: Of the studies' weights around it, times Q for each of Q studies, so that
            it is the same for the mean of any number of them.
    """

    mean: float
    variance: float
    study_variance: float


# The past carries over, and may still be turned around: a quarter of this variance does about as
# well where the past is right, and takes far more trials where it is not.
RELATED = WeightPrior(mean=1.0, variance=1.0, study_variance=4.0)
UNRELATED = WeightPrior(mean=0.0, variance=0.0, study_variance=0.0)


class StudyGP(SingleTaskGP):
    """A ``SingleTaskGP`` that scores a whole space of candidates in one pass.

    GPyTorch's own posterior copies the training data for every one of ``b`` candidates; this one
    computes the same joint posteriors from one triangular solve.

    Attributes:
        log_evidence: Logarithm of how probable the trials were, up to a constant that is the same
            for all GPs on the same ones.
    """

    log_evidence = 0.0

    @cached_property
    def _noisy(self) -> Tensor:
        """The labels' covariance, ``n x n``. Needs fixed hyper-parameters."""
        train = self.train_inputs[0]
        noise = self.likelihood.noise * torch.eye(len(train)).to(train)
        covariance: Tensor = self.covar_module(train).to_dense() + noise
        return covariance

    @cached_property
    def _whiten(self) -> Tensor:
        """Of the trials that lower the variance, ``m x m``; see :func:`_whitening`."""
        return _whitening(self._noisy)

    @cached_property
    def _weights(self) -> Tensor:
        """The trials' weights in the posterior mean, ``n``."""
        residual: Tensor = self.train_targets - self.mean_module(self.train_inputs[0])
        return self._whiten.mT @ (self._whiten @ residual)

    def optimistic(self) -> StudyGP:
        """This GP with its mean, but a variance that only the last trials lower.

        Every trial lowers it, so this is a bound, for a third of the trials and less of the time.
        """
        few = max(_FEW, len(self._noisy) // 3)
        twin = copy(self)
        twin._weights, twin._whiten = self._weights, _whitening(self._noisy[-few:, -few:])
        return twin

    def posterior(  # noqa: D102 (as in SingleTaskGP)
        self, X: Tensor, *args: Any, observation_noise: bool = False, **kwargs: Any
    ) -> GPyTorchPosterior:
        assert not args and not observation_noise and self.train_targets.ndim == 1
        assert all(value is None for value in kwargs.values())
        flat = X.reshape(-1, X.shape[-1])
        cross = self.covar_module(self.train_inputs[0], flat).to_dense()  # n x bq
        mean = self.mean_module(flat) + self._weights @ cross
        covariance = self._covariance(X, self._whiten @ cross[-len(self._whiten) :])
        return GPyTorchPosterior(MultivariateNormal(mean.reshape(X.shape[:-1]), covariance))

    def _covariance(self, X: Tensor, whitened: Tensor) -> Tensor:
        """``b x q x M``, whitened ``m x bq`` -> ``b x q x q``."""
        if X.shape[-2] == 1:
            explained = whitened.square().sum(0).view(X.shape[:-1])
            variance = self.covar_module(X, diag=True) - explained
            positive: Tensor = variance.clamp_min(1e-9)
            return positive.unsqueeze(-1)
        blocks = whitened.mT.reshape(*X.shape[:-1], len(whitened))  # b x q x m
        jitter = 1e-9 * torch.eye(X.shape[-2]).to(X)
        prior: Tensor = self.covar_module(X).to_dense()
        return prior - blocks @ blocks.mT + jitter


def _whitening(covariance: Tensor) -> Tensor:
    """``L^-1`` of the Cholesky factor ``L`` of ``n x n``.

    The noise bounds the condition of ``L``, so that products with its inverse are as good as
    solving, and twice as fast.
    """
    factor: Tensor = psd_safe_cholesky(covariance)
    identity = torch.eye(len(factor)).to(factor)
    inverse: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return inverse


class PastMean(Mean):
    """A weighted sum of what the past studies predict, the last columns of the inputs.

    Args:
        weights: ``Q``.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        """``... x n x d`` -> ``... x n``."""
        return predictions(x, len(self.weights)) @ self.weights


class Mixture:
    """GPs on one study, one of which is right: each as likely as the others before the trials.

    Args:
        gps: At least one.
    """

    def __init__(self, *gps: StudyGP) -> None:
        self.gps = gps

    @cached_property
    def probabilities(self) -> Tensor:
        """Given the trials, one for each GP: float64."""
        return torch.tensor([gp.log_evidence for gp in self.gps]).double().softmax(dim=0)

    def mean(self, X: Tensor) -> Tensor:
        """``n x d`` inputs -> ``n``, the mean of all GPs' posterior means."""
        means = [gp.posterior(X.unsqueeze(-2)).mean.flatten() for gp in self.gps]
        return self.probabilities @ torch.stack(means)


def fit_transfer_mixture(
    inputs: Tensor,
    y: Tensor,
    n_latents: int,
    n_studies: int,
    remembered: Remembered | None = None,
) -> Mixture:
    """The default model of a study: the past says something about it, or nothing at all.

    Where the past does say something but is wrong, trials show it. Where it says nothing of what
    is best, they may not: all are from where its prediction is high, and hardly differs. The
    second GP then still expects something elsewhere. Arguments as below.
    """
    priors = [RELATED, UNRELATED] if n_studies else [RELATED]
    gps = [fit_transfer_gp(inputs, y, n_latents, n_studies, remembered, w) for w in priors]
    return Mixture(*gps)


def fit_transfer_gp(
    inputs: Tensor,
    y: Tensor,
    n_latents: int,
    n_studies: int,
    remembered: Remembered | None = None,
    prior: WeightPrior = RELATED,
) -> StudyGP:
    """A GP on a study: what the past predicts, and a residual that can unlearn it.

    With the study's unit ``g``, the past studies' predictions ``mu_q``, each times how much the
    study counts, and the correlations ``R_j``::

        y = g (c + w mu + sum_q b_q mu_q + f) + noise,    f ~ GP(0, sum_j v_j R_j)

    ``mu`` is the sum of the ``mu_q``. The constant ``c``, the weight ``w`` of the past as a whole
    and the ``b_q``, which sum to 0, have normal priors; those of ``c`` and the ``b_q`` are around
    0. All three are integrated out while the rest is fitted, ``c`` and ``w`` also when candidates
    are scored. The ``b_q`` are then the most probable ones: as uncertain ones they would count as
    chances of improvement, and expected improvement would go after whatever any single past study
    promises.

    Args:
        inputs: ``n x d`` float64, n >= 1; see :class:`TransferKernel`.
        y: ``n`` float64 scaled labels.
        n_latents: How many of an input's first columns are latents.
        n_studies: How many of its last columns are predictions.
        remembered: Correlations with the candidates.
        prior: Of the weights.
    """
    found = evidence(inputs, y, n_latents, n_studies, prior)
    scales = found.fit()
    weights = _past_weights(inputs, found.residual(scales), n_studies, prior)
    likelihood = GaussianLikelihood(noise_constraint=GreaterThan(1e-12)).double()
    likelihood.initialize(noise=scales.noise * scales.label**2)
    kernel = TransferKernel(n_latents, scales.variances, n_studies, remembered, prior.variance)
    gp = StudyGP(
        inputs,
        y.unsqueeze(-1),
        likelihood=likelihood,
        covar_module=ScaleKernel(kernel).double().initialize(outputscale=scales.label**2),
        mean_module=PastMean(scales.label * weights),
        outcome_transform=None,
    )
    gp.eval().requires_grad_(False)
    gp.log_evidence = -found.loss_and_gradient(scales.logarithms)[0]
    return gp


@torch.no_grad()
def evidence(
    inputs: Tensor, y: Tensor, n_latents: int, n_studies: int, prior: WeightPrior = RELATED
) -> Evidence:
    """What the scales are fitted to; arguments as above."""
    kernel = TransferKernel(n_latents, CENTER.variances, n_studies, weight_variance=prior.variance)
    fixed, R = kernel.fixed(inputs, inputs), kernel.correlations(inputs, inputs)
    deviations = _deviations(inputs, n_studies)
    fixed = fixed + prior.study_variance * n_studies * deviations @ deviations.mT
    mean = prior.mean * predictions(inputs, n_studies).sum(dim=1)
    return Evidence(y.numpy(), mean.numpy(), fixed.numpy(), np.stack(R), CENTER)


def _past_weights(
    inputs: Tensor, residual: np.ndarray, n_studies: int, prior: WeightPrior
) -> Tensor:
    """The prior mean of ``w`` plus the ``Q`` most probable ``b_q``, given ``n`` of a residual."""
    slope = _deviations(inputs, n_studies).mT @ torch.from_numpy(residual)
    return prior.mean + prior.study_variance * n_studies * slope


def _deviations(inputs: Tensor, n_studies: int) -> Tensor:
    """The past studies' predictions without their mean: ``n x Q``."""
    predicted = predictions(inputs, n_studies)
    return predicted - predicted.sum(dim=1, keepdim=True) / max(1, n_studies)


def fit_published_gp(Z: Tensor, y: Tensor, start: HyperParameters) -> StudyGP:
    """The published GP on a study: 50 Adam steps at 0.1 from ``start``, before every trial.

    Args:
        Z: ``n x M`` float64 latents, n >= 1.
        y: ``n`` float64 scaled labels.
        start: The meta-learned hyper-parameters.
    """
    gp = unfitted_gp(Z, y, start)
    _adam(ExactMarginalLogLikelihood(gp.likelihood, gp).train())
    gp.eval().requires_grad_(False)
    return gp


def unfitted_gp(Z: Tensor, y: Tensor, start: HyperParameters) -> StudyGP:
    """A GP whose hyper-parameters are just those of ``start``; arguments as above."""
    likelihood = GaussianLikelihood(noise_constraint=GreaterThan(MINIMUM_NOISE))
    kernel = ScaleKernel(MaternKernel(nu=2.5))
    mean = ConstantMean()
    gp = StudyGP(
        Z,
        y.unsqueeze(-1),
        likelihood=likelihood,
        covar_module=kernel,
        mean_module=mean,
        outcome_transform=None,
    )
    mean.initialize(constant=start.mean)
    kernel.initialize(outputscale=start.outputscale)
    kernel.base_kernel.initialize(lengthscale=start.lengthscale)
    likelihood.initialize(noise=max(start.noise, 2 * MINIMUM_NOISE))
    gp.eval()
    return gp


def _adam(mll: ExactMarginalLogLikelihood) -> None:
    optimizer = torch.optim.Adam(mll.model.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        loss = -mll(mll.model(*mll.model.train_inputs), mll.model.train_targets)
        loss.backward()
        optimizer.step()
