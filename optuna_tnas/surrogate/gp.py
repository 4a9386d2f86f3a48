"""The Gaussian process on one study, in the deep kernel's latent space.

Notation: ``Z`` are latents (xi's outputs, ``n x M``), ``y`` scaled labels (``n``). The encoders
stay as meta-learned; what adapts to the study are the GP's own hyper-parameters: constant mean,
output scale, lengthscale and noise.
"""

from __future__ import annotations

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
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.cholesky import psd_safe_cholesky
import torch
from torch import Tensor

from optuna_tnas.config import Adaptation
from optuna_tnas.surrogate.fitting import fit
from optuna_tnas.surrogate.fitting import HyperParameters
from optuna_tnas.surrogate.fitting import MINIMUM_NOISE


class StudyGP(SingleTaskGP):
    """A ``SingleTaskGP`` that scores a whole space of candidates in one pass.

    GPyTorch's own posterior copies the training data for every one of ``b`` candidates; this one
    computes the same joint posteriors from one triangular solve.
    """

    @cached_property
    def _whitened(self) -> tuple[Tensor, Tensor]:
        """``L^-1``, ``n x n``, and ``L^-1 (y - m)``, ``n x 1``, of the Cholesky factor ``L``.

        Needs fixed hyper-parameters. The noise bounds the condition of ``L``, so that products
        with its inverse are as good as solving, and twice as fast.
        """
        train = self.train_inputs[0]
        noise = self.likelihood.noise * torch.eye(len(train)).to(train)
        factor = psd_safe_cholesky(self.covar_module(train).to_dense() + noise)
        residual = (self.train_targets - self.mean_module(train)).unsqueeze(-1)
        whiten = torch.linalg.solve_triangular(
            factor, torch.eye(len(train)).to(train), upper=False
        )
        return whiten, whiten @ residual

    def posterior(  # noqa: D102 (as in SingleTaskGP)
        self, X: Tensor, *args: Any, observation_noise: bool = False, **kwargs: Any
    ) -> GPyTorchPosterior:
        assert not args and not observation_noise and self.train_targets.ndim == 1
        assert all(value is None for value in kwargs.values())
        whiten, weights = self._whitened
        flat = X.reshape(-1, X.shape[-1])
        cross = self._prior_covariance(flat)  # n x bq
        whitened = whiten @ cross  # n x bq
        mean = self.mean_module(flat) + (whitened.mT @ weights).squeeze(-1)
        covariance = self._covariance(X, whitened)
        return GPyTorchPosterior(MultivariateNormal(mean.reshape(X.shape[:-1]), covariance))

    def _prior_covariance(self, flat: Tensor) -> Tensor:
        """``n x bq`` between training data and candidates: the kernel without its copies."""
        train = self.train_inputs[0]
        center = train.mean(dim=0)  # for precision, as in gpytorch
        a = torch.cdist(train - center, flat - center)
        a.mul_(5**0.5 / self.covar_module.base_kernel.lengthscale.item())
        decay = torch.exp(-a).mul_(self.covar_module.outputscale)
        return a.square().div_(3).add_(a).add_(1).mul_(decay)

    def _covariance(self, X: Tensor, whitened: Tensor) -> Tensor:
        """``b x q x M``, ``n x bq`` -> ``b x q x q``."""
        if X.shape[-2] == 1:
            explained = whitened.square().sum(0).view(X.shape[:-1])
            variance = self.covar_module.outputscale - explained
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
    if adaptation == "map":
        distance = torch.cdist(Z, Z, compute_mode="donot_use_mm_for_euclid_dist")
        gp = unfitted_gp(Z, y, fit(distance.numpy(), y.numpy(), start))
    else:
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
    """50 steps at 0.1, the authors' adaptation before every trial."""
    optimizer = torch.optim.Adam(mll.model.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        loss = -mll(mll.model(*mll.model.train_inputs), mll.model.train_targets)
        loss.backward()
        optimizer.step()
