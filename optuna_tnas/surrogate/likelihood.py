"""The Gaussian process's marginal likelihood, differentiable end to end."""

from __future__ import annotations

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
