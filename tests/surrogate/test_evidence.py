"""The fit of a study's scales against gpytorch's likelihood and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import multivariate_normal
from scipy.stats import norm

from optuna_tnas.surrogate.evidence import Evidence
from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.evidence import Scales


CENTER = Scales(1.0, (0.5, 0.5), 0.05)
DEVIATIONS = [1.0, 1.5, 1.5, 0.5]
SCALES = [CENTER, Scales(2.0, (0.1, 3.0), 0.2), Scales(0.3, (4.0, 0.01), 0.01)]


def data(n: int, label: float = 1.0) -> Evidence:
    """A smooth function with a repeated observation, and a prediction that is half of it."""
    rng = np.random.default_rng(n)
    Z = rng.standard_normal((n, 2))
    Z[-1] = Z[0]
    distance = np.abs(Z[:, None] - Z)  # n x n x 2
    mean = np.sin(Z[:, 0])
    y = label * (mean + 0.5 * np.sin(2 * Z[:, 1]) + 0.1 * rng.standard_normal(n) + 1)
    correlations = np.exp(-(distance**2)).transpose(2, 0, 1)
    return Evidence(y, mean, np.full((n, n), 100.0), correlations, CENTER)


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("scales", SCALES)
def test_loss_is_the_likelihood_and_the_priors(n: int, scales: Scales) -> None:
    e = data(n)
    signal = e.fixed + sum(v * R for v, R in zip(scales.variances, e.correlations, strict=True))
    covariance = scales.label**2 * (signal + scales.noise * np.eye(n))
    likelihood = multivariate_normal(scales.label * e.mean, covariance).logpdf(e.y)
    prior = norm(CENTER.logarithms, DEVIATIONS)
    densities = prior.logpdf(scales.logarithms) - prior.logpdf(CENTER.logarithms)
    loss, _ = e.loss_and_gradient(scales.logarithms)
    expected = -likelihood - densities.sum() - n * np.log(2 * np.pi) / 2
    assert loss == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("scales", SCALES)
def test_gradient_is_that_of_finite_differences(n: int, scales: Scales) -> None:
    e = data(n)
    value, gradient = (lambda t, i=i: e.loss_and_gradient(t)[i] for i in (0, 1))
    _, exact = e.loss_and_gradient(scales.logarithms)
    error = check_grad(value, gradient, scales.logarithms)
    assert error < 1e-4 * max(1.0, float(np.abs(exact).max()))


def test_fit_ends_where_the_gradient_vanishes() -> None:
    found = data(60).fit()
    _, gradient = data(60).loss_and_gradient(found.logarithms)
    assert np.abs(gradient).max() < 0.05
    assert found.variances[1] > found.variances[0]  # the prediction has the first direction
    assert found.noise < 0.05


def test_label_unit_is_found() -> None:
    """Under a prior that asks for 1, so not quite."""
    small, large = (data(60, label).fit() for label in (0.5, 2.0))
    assert 3 < large.label / small.label < 4.2
    assert large.noise == pytest.approx(small.noise, rel=0.3)


def test_priors_hold_a_fit_to_little_data_near_its_center() -> None:
    found = data(2).fit()
    assert (np.abs(found.logarithms - CENTER.logarithms) < 1.5 * np.array(DEVIATIONS)).all()


def test_noise_stays_above_the_minimum() -> None:
    e = data(20)
    exact = Evidence(e.mean, e.mean, e.fixed, e.correlations, Scales(1.0, (0.5, 0.5), 1e-9))
    assert exact.fit().noise >= MINIMUM_NOISE
