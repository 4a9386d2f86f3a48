"""The fit of the four hyper-parameters against gpytorch's likelihood and finite differences."""

from __future__ import annotations

from gpytorch.mlls import ExactMarginalLogLikelihood
import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.spatial.distance import cdist
from scipy.stats import norm
import torch

from optuna_tnas.surrogate.fitting import _PRIOR
from optuna_tnas.surrogate.fitting import _to_vector
from optuna_tnas.surrogate.fitting import fit
from optuna_tnas.surrogate.fitting import HyperParameters
from optuna_tnas.surrogate.fitting import loss_and_gradient
from optuna_tnas.surrogate.gp import unfitted_gp


STARTS = [HyperParameters(), HyperParameters(0.5, 3.0, 0.4, 0.3), HyperParameters(-1, 0.2, 5, 1)]


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Latents and labels of a smooth function with a repeated observation."""
    rng = np.random.default_rng(n)
    Z = rng.standard_normal((n, 3))
    Z[-1] = Z[0]
    return Z, np.sin(2 * Z[:, 0]) + 0.1 * rng.standard_normal(n)


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("h", STARTS)
def test_loss_is_gpytorchs_likelihood_and_the_priors(n: int, h: HyperParameters) -> None:
    Z, y = data(n)
    center = _to_vector(HyperParameters())
    loss, _ = loss_and_gradient(_to_vector(h), center, cdist(Z, Z), y)
    gp = unfitted_gp(torch.from_numpy(Z), torch.from_numpy(y), h)
    mll = ExactMarginalLogLikelihood(gp.likelihood, gp).train()
    likelihood = n * mll(mll.model(*gp.train_inputs), gp.train_targets).item()
    prior = norm(center, _PRIOR).logpdf(_to_vector(h)).sum()
    constants = n * np.log(2 * np.pi) / 2 - norm(0, _PRIOR).logpdf(0).sum()
    assert loss == pytest.approx(-likelihood - prior - constants, abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("h", STARTS)
def test_gradient_is_that_of_finite_differences(n: int, h: HyperParameters) -> None:
    Z, y = data(n)
    arguments = (_to_vector(HyperParameters()), cdist(Z, Z), y)
    error = check_grad(
        lambda theta: loss_and_gradient(theta, *arguments)[0],
        lambda theta: loss_and_gradient(theta, *arguments)[1],
        _to_vector(h),
    )
    assert error < 1e-3


@pytest.mark.parametrize("start", STARTS)
def test_fit_ends_where_the_gradient_vanishes(start: HyperParameters) -> None:
    Z, y = data(60)
    found = fit(cdist(Z, Z), y, start)
    _, gradient = loss_and_gradient(_to_vector(found), _to_vector(start), cdist(Z, Z), y)
    assert np.abs(gradient).max() < 0.05
    assert found.noise < 0.1  # the labels' noise is 0.01


def test_noise_stays_within_the_gps_constraint() -> None:
    Z, _ = data(20)
    found = fit(cdist(Z, Z), np.zeros(20), HyperParameters(noise=1e-6))
    gp = unfitted_gp(torch.from_numpy(Z), torch.zeros(20, dtype=torch.double), found)
    assert gp.likelihood.noise.item() == pytest.approx(found.noise, rel=1e-3)
