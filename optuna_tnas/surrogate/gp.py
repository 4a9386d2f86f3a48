"""Posteriors of Gaussian processes on one study.

Notation: ``n`` trials with inputs ``x`` (``n x d``) and outcomes ``y`` (``n``), ``K`` their
covariance with noise, ``L`` its Cholesky factor, ``m`` the prior mean, ``a = K^-1 (y - m)``.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

from botorch.models import SingleTaskGP
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from linear_operator import to_linear_operator
import torch
from torch import Tensor

from optuna_tnas.surrogate.kernels import TransferKernel
from optuna_tnas.surrogate.numerics import cholesky


# The variance's bound conditions on so many of the first trials.
_N_BOUNDING = 16


class StudyGP(SingleTaskGP):
    """A ``SingleTaskGP`` that scores a whole space of candidates in one pass.

    GPyTorch's own posterior copies the training data for every one of ``b`` candidates; this one
    computes the same joint posteriors from one factor.

    Attributes:
        log_evidence: Log evidence of the trials, up to a constant that is the same for all GPs
            on the same ones.
        past_weights: ``C``, posterior means of the weights of what the past studies predict; None
            if the GP takes nothing from them.
    """

    log_evidence = 0.0
    past_weights: Tensor | None = None

    @cached_property
    def factor(self) -> Tensor:
        """The lower Cholesky factor ``L`` of ``K``: ``n x n``. Needs fixed hyper-parameters."""
        covariance: Tensor = self.covar_module(self.train_inputs[0]).to_dense().clone()
        covariance.diagonal().add_(self.likelihood.noise)
        return cholesky(covariance)

    @cached_property
    def alpha(self) -> Tensor:
        """The trials' coefficients ``a`` in the posterior mean: ``n``."""
        residual: Tensor = self.train_targets - self.mean_module(self.train_inputs[0])
        return torch.cholesky_solve(residual.unsqueeze(-1), self.factor).squeeze(-1)

    @cached_property
    def _whiten(self) -> Tensor:
        """``L^-1`` of the trials that lower the variance: ``m x m``, the first ones.

        The noise bounds its condition, so that products with the inverse are as good as solving,
        and twice as fast.
        """
        identity = torch.eye(len(self.factor)).to(self.factor)
        return torch.linalg.solve_triangular(self.factor, identity, upper=False)

    def optimistic(self) -> StudyGP:
        """Bound this GP: the same mean, and a variance that only the first trials lower.

        Every trial lowers the variance, so this one is at least the GP's, at a part of the cost.
        The factor of the first trials is a part of that of all.
        """
        twin = copy(self)
        twin.alpha, twin.factor = self.alpha, self.factor[:_N_BOUNDING, :_N_BOUNDING]
        twin.__dict__.pop("_whiten", None)
        return twin

    def posterior(  # noqa: D102 (as in SingleTaskGP)
        self, X: Tensor, *args: Any, observation_noise: bool = False, **kwargs: Any
    ) -> GPyTorchPosterior:
        assert not args and not observation_noise and self.train_targets.ndim == 1
        assert all(value is None for value in kwargs.values())
        mean, whitened = self._mean_and_whitened(X.reshape(-1, X.shape[-1]))
        # As a tensor it would be factorized and validated, which costs more than what it is for.
        covariance = to_linear_operator(self._covariance(X, whitened))
        return GPyTorchPosterior(MultivariateNormal(mean.reshape(X.shape[:-1]), covariance))

    @torch.no_grad()
    def given(self, pending: Tensor, x: Tensor, normal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw values of pending inputs, and condition others on them.

        As the joint posteriors of all pending inputs with each of the others have it, at a part of
        the cost: what is pending is the same in all.

        Args:
            pending: ``p x d``.
            x: ``n x d``.
            normal: ``S x p`` draws of mean 0 and variance 1.

        Returns:
            ``S x p`` values of the pending inputs, ``S x n`` means of the others given each draw,
            and their ``n`` variances.
        """
        p = len(pending)
        mean, whitened = self._mean_and_whitened(torch.cat([pending, x]))
        blocks = self._covariance(pending[None], whitened[:, :p])[0].reshape(p, p)
        # A batch of one: of trials alone the kernel keeps the correlations with all candidates.
        prior = self._prior(pending[None], x[None])[0]
        factor = cholesky(blocks)
        shared = prior - whitened[:, :p].mT @ whitened[:, p:]
        halves = torch.linalg.solve_triangular(factor, shared, upper=False)  # p x n
        alone = self._covariance(x[:, None], whitened[:, p:]).flatten()
        variance = (alone - halves.square().sum(dim=0)).clamp_min(1e-9)
        return mean[:p] + normal @ factor.mT, mean[p:] + normal @ halves, variance

    def _mean_and_whitened(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior means of ``b x d`` inputs; ``L^-1`` times their covariances with trials."""
        train = self.train_inputs[0]
        lowering = self._prior(train[: len(self._whiten)], flat)
        complete = len(lowering) == len(train)
        explained = self.alpha @ lowering if complete else self._explained(flat)
        return self.mean_module(flat) + explained, self._whiten @ lowering

    def _explained(self, flat: Tensor) -> Tensor:
        """The trials' part of the posterior mean at ``b x d`` inputs: ``b``."""
        train = self.train_inputs[0]
        if isinstance(self.covar_module, TransferKernel):
            return self.covar_module.weighted_sum(self.alpha, train, flat)
        return self.alpha @ self._prior(train, flat)

    def _prior(self, x1: Tensor, x2: Tensor, diag: bool = False) -> Tensor:
        """Prior covariances: ``... x n x d``, ``... x m x d`` -> ``... x n x m``.

        Our own kernel is asked directly: what GPyTorch wraps it in takes as long as the kernel.
        """
        kernel = self.covar_module
        if isinstance(kernel, TransferKernel):
            return kernel.forward(x1, x2, diag)
        covariance = kernel(x1, x2, diag=diag)
        dense: Tensor = covariance if diag else covariance.to_dense()
        return dense

    def _covariance(self, X: Tensor, whitened: Tensor) -> Tensor:
        """``b x q x d``, whitened ``m x bq`` -> ``b x q x q``."""
        if X.shape[-2] == 1:
            explained = whitened.square().sum(0).view(X.shape[:-1])
            variance = self._prior(X, X, diag=True) - explained
            positive: Tensor = variance.clamp_min(1e-9)
            return positive.unsqueeze(-1)
        blocks = whitened.mT.reshape(*X.shape[:-1], len(whitened))  # b x q x m
        jitter = 1e-9 * torch.eye(X.shape[-2]).to(X)
        return self._prior(X, X) - blocks @ blocks.mT + jitter


class Mixture:
    """GPs on one study, one of which is right: equally probable before the trials.

    Args:
        gps: At least one.
    """

    def __init__(self, *gps: StudyGP) -> None:
        self.gps = gps

    @cached_property
    def probabilities(self) -> Tensor:
        """Probability of each GP given the trials: float64."""
        return torch.tensor([gp.log_evidence for gp in self.gps]).double().softmax(dim=0)

    @property
    def no_past(self) -> float:
        """Probability that the past studies say nothing; 1 if no GP takes anything from them."""
        without = torch.tensor([gp.past_weights is None for gp in self.gps])
        return float(self.probabilities[without].sum())

    @property
    def past_weights(self) -> Tensor | None:
        """Posterior means of the past studies' weights, if they say something at all: ``C``."""
        weights = [gp.past_weights for gp in self.gps if gp.past_weights is not None]
        return weights[0] if weights else None

    def mean(self, X: Tensor) -> Tensor:
        """Average the GPs' posterior means: ``n x d`` inputs -> ``n``."""
        return self.moments(X)[0]

    def moments(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the mixture: ``n x d`` inputs -> ``n`` each."""
        posteriors = [gp.posterior(X.unsqueeze(-2)) for gp in self.gps]
        means = torch.stack([p.mean.flatten() for p in posteriors])
        variances = torch.stack([p.variance.flatten() for p in posteriors])
        mean = self.probabilities @ means
        return mean, self.probabilities @ (variances + (means - mean).square())
