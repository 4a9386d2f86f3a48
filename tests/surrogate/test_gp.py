"""The study's GP against botorch's own posterior and against the textbook formula."""

from __future__ import annotations

from collections.abc import Sequence

from botorch.models import SingleTaskGP
import numpy as np
import pytest
import torch
from torch import Tensor

from optuna_tnas.surrogate.deep_kernel_gp import HyperParameters
from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.transfer import UNRELATED
from tests.fixtures.trials import HYPERPARAMETERS
from tests.fixtures.trials import random_features
from tests.fixtures.trials import transfer
from tests.fixtures.trials import unfitted
from tests.fixtures.trials import wavy


def matern(a: Tensor, b: Tensor) -> Tensor:
    distance = (a[:, None] - b).square().sum(dim=-1).sqrt()
    r = 5**0.5 * distance / HYPERPARAMETERS.lengthscale
    return HYPERPARAMETERS.outputscale * (1 + r + r**2 / 3) * torch.exp(-r)


@pytest.mark.parametrize("n", [1, 2, 25])
@pytest.mark.parametrize("shape", [(6, 1), (6, 3), (2, 3, 1), (2, 1, 1), (2, 3, 4), (5,), (1,)])
def test_posterior_is_botorchs(n: int, shape: Sequence[int]) -> None:
    gp = unfitted(*wavy(n))
    X = random_features(*shape, seed=5)
    with torch.no_grad():
        ours, theirs = gp.posterior(X), SingleTaskGP.posterior(gp, X)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(
        ours.distribution.covariance_matrix,
        theirs.distribution.covariance_matrix,
        rtol=1e-5,
        atol=1e-7,
    )


def test_posterior_is_the_textbooks() -> None:
    Z, y = wavy(20)
    X = random_features(8, seed=5)
    inverse = torch.linalg.inv(matern(Z, Z) + HYPERPARAMETERS.noise * torch.eye(20).double())
    weights = matern(X, Z) @ inverse
    mean = HYPERPARAMETERS.mean + weights @ (y - HYPERPARAMETERS.mean)
    covariance = matern(X, X) - weights @ matern(Z, X)
    with torch.no_grad():
        posterior = unfitted(Z, y).posterior(X)
    torch.testing.assert_close(posterior.mean.flatten(), mean)
    torch.testing.assert_close(
        posterior.distribution.covariance_matrix, covariance, rtol=1e-6, atol=1e-6
    )


def test_posterior_at_an_observation_is_proper() -> None:
    Z, y = wavy(10)
    with torch.no_grad():
        gp = unfitted(Z, y, HyperParameters(noise=MINIMUM_NOISE))
        for X in (Z.unsqueeze(-2), torch.stack([Z, Z], dim=-2)):
            posterior = gp.posterior(X)
            assert (posterior.variance > 0).all()
            assert posterior.rsample(torch.Size([3])).isfinite().all()


@pytest.mark.parametrize("n", [1, 2, 25])
@pytest.mark.parametrize("shape", [(6, 1), (6, 3), (2, 3, 1), (5,)])
def test_posterior_with_a_past_is_botorchs(n: int, shape: Sequence[int]) -> None:
    gp, X = transfer(*wavy(n)), random_features(*shape, seed=5)
    with torch.no_grad():
        ours, theirs = gp.posterior(X), SingleTaskGP.posterior(gp, X)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 16, 17, 120])
def test_optimistic_gp_has_the_mean_and_bounds_the_variance(n: int) -> None:
    X = random_features(200, 1, seed=5)
    for gp in (unfitted(*wavy(n)), transfer(*wavy(n))):
        with torch.no_grad():
            bound, exact = gp.optimistic().posterior(X), gp.posterior(X)
        torch.testing.assert_close(bound.mean, exact.mean)
        assert (bound.variance >= exact.variance * (1 - 1e-6)).all()
        assert bool((bound.variance > 1.01 * exact.variance).any()) == (n > 16)


def test_probabilities_are_those_of_bayes() -> None:
    gps = [unfitted(*wavy(5)) for _ in range(3)]
    assert Mixture(gps[0]).probabilities.tolist() == [1.0]
    for gp, probability in zip(gps, (0.2, 0.1, 0.1), strict=True):
        gp.log_evidence = np.log(probability) - 500
    torch.testing.assert_close(
        Mixture(*gps).probabilities, torch.tensor([0.5, 0.25, 0.25]).double()
    )


def test_mean_of_a_mixture_is_the_gps_mean() -> None:
    x, y = wavy(6)
    mixture, X = (
        Mixture(transfer(x, y), transfer(x, y, prior=UNRELATED)),
        random_features(30, seed=5),
    )
    p = mixture.probabilities
    means = [gp.posterior(X.unsqueeze(-2)).mean.flatten() for gp in mixture.gps]
    torch.testing.assert_close(mixture.mean(X), p[0] * means[0] + p[1] * means[1])
    deviations = [gp.posterior(X.unsqueeze(-2)).variance.flatten().sqrt() for gp in mixture.gps]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 40_000, len(X), generator=generator, dtype=torch.double)
    which = torch.rand(40_000, 1, generator=generator, dtype=torch.double) < p[0]
    draws = [m + d * n for m, d, n in zip(means, deviations, noise, strict=True)]
    mean, variance = mixture.moments(X)
    drawn = torch.where(which, *draws)
    torch.testing.assert_close(mean, drawn.mean(dim=0), rtol=0.05, atol=0.05)
    torch.testing.assert_close(variance, drawn.var(dim=0), rtol=0.05, atol=0.05)
    assert 0.01 < p[1] < 0.99


@pytest.mark.parametrize("p", [1, 4])
def test_what_follows_from_draws_of_pending_values_is_the_joint_posteriors(p: int) -> None:
    """Conditioning botorch's own joint posterior by the textbook."""
    gp = unfitted(*wavy(12))
    pending, x = random_features(p, seed=5), random_features(7, seed=6)
    normal = torch.randn(3, p, generator=torch.Generator().manual_seed(0)).double()
    values, means, variance = gp.given(pending, x, normal)
    with torch.no_grad():
        joint = SingleTaskGP.posterior(gp, torch.cat([pending, x])).distribution
    mean, covariance = joint.mean, joint.covariance_matrix
    own = covariance[:p, :p] + 1e-9 * torch.eye(p).double()
    torch.testing.assert_close(values, mean[:p] + normal @ torch.linalg.cholesky(own).mT)
    weights = torch.linalg.solve(own, covariance[:p, p:])
    torch.testing.assert_close(means, mean[p:] + (values - mean[:p]) @ weights)
    left = covariance[p:, p:] - covariance[p:, :p] @ weights
    torch.testing.assert_close(variance, left.diagonal(), rtol=1e-5, atol=1e-7)


def test_a_candidate_that_is_pending_itself_has_its_drawn_value() -> None:
    gp, x = unfitted(*wavy(12)), random_features(3, seed=5)
    normal = torch.ones(2, 3).double()
    values, means, variance = gp.given(x, x, normal)
    torch.testing.assert_close(means, values, rtol=1e-3, atol=1e-4)
    assert (variance > 0).all()
    assert (variance < 1e-6).all()
