"""The Gaussian process's marginal likelihood, for meta-training and for one study."""

from __future__ import annotations

from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.cholesky import psd_safe_cholesky
import numpy as np
import torch
from torch import Tensor


def negative_log_likelihood(covariance: Tensor, residual: Tensor) -> Tensor:
    """``(r^T K^-1 r + log |K| + n log 2 pi) / 2``.

    Args:
        covariance: ``n x n``, the noise on its diagonal.
        residual: ``n``, labels without the mean.
    """
    factor = psd_safe_cholesky(covariance)
    whitened = torch.linalg.solve_triangular(factor, residual.unsqueeze(-1), upper=False)
    quadratic: Tensor = whitened.square().sum()
    log_determinant = 2 * factor.diagonal().log().sum()
    loss: Tensor = (quadratic + log_determinant + len(residual) * np.log(2 * np.pi)) / 2
    return loss


class PosteriorLoss:
    """Minus the log posterior of a study GP's hyper-parameters, per observation.

    The same number as ``-mll(...)`` with the model's priors, several times faster: the latents
    do not change while four numbers are fitted, so their distances are computed once. Callable
    as botorch's ``fit_gpytorch_mll`` wants a closure: returns the loss and the gradients.

    Args:
        mll: Of a GP with a constant mean and a scaled Matern 5/2 kernel with one lengthscale.
    """

    def __init__(self, mll: ExactMarginalLogLikelihood) -> None:
        self._mll = mll
        self._parameters = [p for p in mll.parameters() if p.requires_grad]
        train = mll.model.train_inputs[0]
        exact = "donot_use_mm_for_euclid_dist"
        self._distance = torch.cdist(train, train, compute_mode=exact)  # n x n
        self._identity = torch.eye(len(train), dtype=train.dtype, device=train.device)

    def __call__(self) -> tuple[Tensor, list[Tensor | None]]:
        """The loss and its gradients, which the parameters get too."""
        loss = self.loss()
        gradients = torch.autograd.grad(loss, self._parameters)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return loss, list(gradients)

    def loss(self) -> Tensor:
        """The loss at the model's present hyper-parameters."""
        gp = self._mll.model
        scaled = 5**0.5 * self._distance / gp.covar_module.base_kernel.lengthscale
        matern = (1 + scaled + scaled.square() / 3) * torch.exp(-scaled)
        covariance = gp.covar_module.outputscale * matern + gp.likelihood.noise * self._identity
        residual = gp.train_targets - gp.mean_module.constant
        prior = torch.stack(
            [p.log_prob(value(module)).sum() for _, module, p, value, _ in gp.named_priors()]
        ).sum()
        return (negative_log_likelihood(covariance, residual) - prior) / len(residual)
