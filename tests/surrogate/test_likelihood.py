"""The marginal likelihood against torch's normal distribution."""

from __future__ import annotations

from optuna_tnas.surrogate.likelihood import negative_log_likelihood
import pytest
import torch
from torch.distributions import MultivariateNormal


@pytest.mark.parametrize("n", [1, 2, 30])
def test_likelihood_is_that_of_a_normal_distribution(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    A = torch.randn(n, n, generator=generator, dtype=torch.double)
    covariance = A @ A.T + 0.1 * torch.eye(n, dtype=torch.double)
    residual = torch.randn(n, generator=generator, dtype=torch.double)
    expected = -MultivariateNormal(torch.zeros_like(residual), covariance).log_prob(residual)
    torch.testing.assert_close(negative_log_likelihood(covariance, residual), expected)
