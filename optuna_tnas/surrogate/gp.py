"""The Gaussian process on one study, in the deep kernel's latent space.

Notation: ``Z`` are latents (xi's outputs, ``n x M``), ``y`` scaled labels (``n``). The encoders
stay as meta-learned; what adapts to the study are the GP's own hyper-parameters: constant mean,
output scale, lengthscale and noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.posteriors import GPyTorchPosterior
from gpytorch.constraints import GreaterThan
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import MaternKernel
from gpytorch.kernels import ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from gpytorch.priors import NormalPrior
from linear_operator.utils.cholesky import psd_safe_cholesky
import torch
from torch import Tensor

from optuna_tnas.config import Adaptation
from optuna_tnas.surrogate.likelihood import PosteriorLoss


MINIMUM_NOISE = 1e-4  # of the labels' variance


@dataclass(frozen=True)
class HyperParameters:
    """The GP's own hyper-parameters, for labels of variance 1."""

    mean: float = 0.0
    outputscale: float = 1.0
    lengthscale: float = 1.0
    noise: float = 0.05


class StudyGP(SingleTaskGP):
    """A ``SingleTaskGP`` that scores a whole space of candidates in one pass.

    GPyTorch's own posterior copies the training data for every one of ``b`` candidates; this one
    computes the same joint posteriors from one triangular solve.
    """

    @cached_property
    def _factor(self) -> tuple[Tensor, Tensor]:
        """Cholesky factor of the training covariance, ``n x n``, and ``L^-1 (y - m)``, ``n x 1``.

        Needs fixed hyper-parameters.
        """
        train = self.train_inputs[0]
        noise = self.likelihood.noise * torch.eye(len(train)).to(train)
        factor = psd_safe_cholesky(self.covar_module(train).to_dense() + noise)
        residual = (self.train_targets - self.mean_module(train)).unsqueeze(-1)
        return factor, torch.linalg.solve_triangular(factor, residual, upper=False)

    def posterior(  # noqa: D102 (as in SingleTaskGP)
        self, X: Tensor, *args: Any, observation_noise: bool = False, **kwargs: Any
    ) -> GPyTorchPosterior:
        assert not args and not observation_noise and self.train_targets.ndim == 1
        assert all(value is None for value in kwargs.values())
        factor, weights = self._factor
        flat = X.reshape(-1, X.shape[-1])
        cross = self.covar_module(self.train_inputs[0], flat).to_dense()  # n x bq
        whitened = torch.linalg.solve_triangular(factor, cross, upper=False)  # n x bq
        mean = self.mean_module(flat) + (whitened.mT @ weights).squeeze(-1)
        covariance = self._covariance(X, whitened)
        return GPyTorchPosterior(MultivariateNormal(mean.reshape(X.shape[:-1]), covariance))

    def _covariance(self, X: Tensor, whitened: Tensor) -> Tensor:
        """``b x q x M``, ``n x bq`` -> ``b x q x q``."""
        if X.shape[-2] == 1:
            explained = whitened.square().sum(0).view(X.shape[:-1])
            variance = self.covar_module(X, diag=True) - explained
            positive: Tensor = variance.clamp_min(1e-9)
            return positive.unsqueeze(-1)
        blocks = whitened.mT.reshape(*X.shape[:-1], len(whitened))  # b x q x n
        jitter = 1e-9 * torch.eye(X.shape[-2]).to(X)
        prior: Tensor = self.covar_module(X).to_dense()
        return prior - blocks @ blocks.mT + jitter


def fit_study_gp(
    Z: Tensor, y: Tensor, start: HyperParameters, adaptation: Adaptation = "map"
) -> StudyGP:
    """A GP on a study's trials, its hyper-parameters adapted from ``start``.

    Under ``"map"``, log-normal priors centered on ``start`` keep one, two or three observations,
    or equal ones, from running away.

    Args:
        Z: ``n x M`` float64 latents, n >= 1.
        y: ``n`` float64 scaled labels.
        start: The meta-learned hyper-parameters.
        adaptation: See :class:`~optuna_tnas.config.Config`.
    """
    gp = unfitted_gp(Z, y, start)
    mll = ExactMarginalLogLikelihood(gp.likelihood, gp).train()
    if adaptation == "map":
        _add_priors(gp, start)
        options = {"options": {"maxiter": 50}}
        fit_gpytorch_mll(mll, closure=PosteriorLoss(mll), optimizer_kwargs=options)
    else:
        _adam(mll)
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


def _add_priors(gp: StudyGP, start: HyperParameters) -> None:
    """Priors whose widths let the data move each hyper-parameter by about one order."""
    kernel, likelihood, mean = gp.covar_module, gp.likelihood, gp.mean_module
    mean.register_prior("mean_prior", NormalPrior(start.mean, 0.5), "constant")
    kernel.register_prior(
        "outputscale_prior", LogNormalPrior(log(start.outputscale), 0.75), "outputscale"
    )
    kernel.base_kernel.register_prior(
        "lengthscale_prior", LogNormalPrior(log(start.lengthscale), 0.75), "lengthscale"
    )
    likelihood.noise_covar.register_prior(
        "noise_prior", LogNormalPrior(log(max(start.noise, 2 * MINIMUM_NOISE)), 1.0), "noise"
    )
    gp.to(gp.train_targets)


def _adam(mll: ExactMarginalLogLikelihood) -> None:
    """50 steps at 0.1, the authors' adaptation before every trial."""
    optimizer = torch.optim.Adam(mll.model.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        loss = -mll(mll.model(*mll.model.train_inputs), mll.model.train_targets)
        loss.backward()
        optimizer.step()
