"""The fast marginal likelihoods against torch's and gpytorch's."""

from __future__ import annotations

from gpytorch.mlls import ExactMarginalLogLikelihood
import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from optuna_tnas.surrogate.gp import _add_priors
from optuna_tnas.surrogate.gp import HyperParameters
from optuna_tnas.surrogate.gp import unfitted_gp
from optuna_tnas.surrogate.likelihood import negative_log_likelihood
from optuna_tnas.surrogate.likelihood import PosteriorLoss


@pytest.mark.parametrize("n", [1, 2, 30])
def test_likelihood_is_that_of_a_normal_distribution(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    A = torch.randn(n, n, generator=generator, dtype=torch.double)
    covariance = A @ A.T + 0.1 * torch.eye(n, dtype=torch.double)
    residual = torch.randn(n, generator=generator, dtype=torch.double)
    expected = -MultivariateNormal(torch.zeros_like(residual), covariance).log_prob(residual)
    torch.testing.assert_close(negative_log_likelihood(covariance, residual), expected)


def mll_of(n: int, start: HyperParameters) -> ExactMarginalLogLikelihood:
    """Away from the priors' centers, with observations that repeat."""
    rng = np.random.default_rng(n)
    Z = torch.from_numpy(rng.standard_normal((n, 3)))
    Z[-1] = Z[0]
    gp = unfitted_gp(Z, torch.from_numpy(rng.standard_normal(n)), start)
    _add_priors(gp, HyperParameters())
    return ExactMarginalLogLikelihood(gp.likelihood, gp).train()


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize(
    "start",
    [HyperParameters(), HyperParameters(0.5, 3.0, 0.4, 0.3), HyperParameters(-1, 0.2, 5, 1)],
)
def test_posterior_loss_is_gpytorchs(n: int, start: HyperParameters) -> None:
    mll = mll_of(n, start)
    expected = -mll(mll.model(*mll.model.train_inputs), mll.model.train_targets)
    parameters = [p for p in mll.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(expected, parameters)
    loss, gradients = PosteriorLoss(mll)()
    torch.testing.assert_close(loss, expected)
    for parameter, gradient, slope in zip(parameters, gradients, slopes, strict=True):
        torch.testing.assert_close(gradient, slope)
        torch.testing.assert_close(parameter.grad, slope)
