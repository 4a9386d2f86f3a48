"""Evidence and its derivatives against scipy's density, finite differences and L-BFGS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.optimize import check_grad
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from scipy.stats import norm
import torch
from torch.distributions import MultivariateNormal

from optuna_tnas.surrogate.evidence import center_of
from optuna_tnas.surrogate.evidence import Evidence
from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.evidence import negative_log_likelihood
from optuna_tnas.surrogate.evidence import Scales


CENTER = Scales(1.0, (0.5, 0.5), 0.05)
DEVIATIONS = [1.0, 1.5, 1.5, 0.5]
SCALES = [CENTER, Scales(2.0, (0.1, 3.0), 0.2), Scales(0.3, (4.0, 0.01), 0.01)]


def data(n: int, unit: float = 1.0, noise: float = 0.1, seed: int | None = None) -> Evidence:
    """A smooth function with a repeated observation, and a prediction that is half of it."""
    rng = np.random.default_rng(n if seed is None else seed)
    Z = rng.standard_normal((n, 2))
    Z[-1] = Z[0]
    distance = np.abs(Z[:, None] - Z)  # n x n x 2
    mean = np.sin(Z[:, 0])
    y = unit * (mean + 0.5 * np.sin(2 * Z[:, 1]) + noise * rng.standard_normal(n) + 1)
    correlations = torch.from_numpy(np.exp(-(distance**2)).transpose(2, 0, 1).copy())
    fixed = torch.full((n, n), 100.0).double()
    return Evidence(torch.from_numpy(y), torch.from_numpy(mean), fixed, correlations, CENTER)


def covariance(e: Evidence, scales: Scales) -> np.ndarray:
    """Of the outcomes divided by their unit."""
    terms = zip(scales.variances, e.correlations.numpy(), strict=True)
    return e.fixed.numpy() + sum(v * R for v, R in terms) + scales.noise * np.eye(len(e.y))


n_trials = pytest.mark.parametrize("n", [1, 2, 30])
all_scales = pytest.mark.parametrize("scales", SCALES)


@n_trials
@all_scales
def test_loss_is_the_likelihood_and_the_priors(n: int, scales: Scales) -> None:
    e = data(n)
    outcomes = multivariate_normal(
        scales.unit * e.mean.numpy(), scales.unit**2 * covariance(e, scales)
    )
    prior = norm(CENTER.logarithms, DEVIATIONS)
    densities = prior.logpdf(scales.logarithms) - prior.logpdf(CENTER.logarithms)
    expected = -outcomes.logpdf(e.y.numpy()) - densities.sum() - n * np.log(2 * np.pi) / 2
    assert e.evaluate(scales.logarithms).loss == pytest.approx(expected, abs=1e-6)


@n_trials
@all_scales
def test_gradient_is_that_of_finite_differences(n: int, scales: Scales) -> None:
    e = data(n)
    exact = e.evaluate(scales.logarithms).gradient
    error = check_grad(
        lambda t: e.evaluate(t).loss, lambda t: e.evaluate(t).gradient, scales.logarithms
    )
    assert error < 1e-4 * max(1.0, float(np.abs(exact).max()))


@n_trials
@all_scales
def test_alpha_solves_for_the_residual(n: int, scales: Scales) -> None:
    e = data(n)
    residual = e.y.numpy() / scales.unit - e.mean.numpy()
    expected = np.linalg.solve(covariance(e, scales), residual)
    np.testing.assert_allclose(e.evaluate(scales.logarithms).alpha, expected, rtol=1e-6, atol=1e-8)


@n_trials
@all_scales
def test_hessian_is_the_average_of_observed_and_expected(n: int, scales: Scales) -> None:
    """By the logarithms of variances, with the slopes at an optimum; exact in the unit's row."""
    e, logarithms = data(n), scales.logarithms
    at = e.evaluate(logarithms)
    observed = approx_fprime(logarithms, lambda t: e.evaluate(t).gradient, 1e-6)
    tolerance = 1e-4 * np.abs(observed).max()
    np.testing.assert_allclose(at.hessian[0], observed[0], atol=tolerance)
    np.testing.assert_allclose(at.hessian, at.hessian.T)
    precision, inverse = (
        np.diag(np.square(DEVIATIONS) ** -1.0),
        np.linalg.inv(covariance(e, scales)),
    )
    of_prior = precision @ (logarithms - CENTER.logarithms)
    slopes = at.gradient - of_prior
    parts = [*e.correlations.numpy(), np.eye(n)]
    terms = [
        inverse @ (v * R) for v, R in zip([*scales.variances, scales.noise], parts, strict=True)
    ]
    expected = np.array([[np.trace(a @ b) / 2 for b in terms] for a in terms])
    average = (observed - precision - np.diag(slopes))[1:, 1:] / 2 + expected / 2
    added = precision + np.diag(np.maximum(-of_prior, 0.0))
    np.testing.assert_allclose(
        at.hessian[1:, 1:], average + added[1:, 1:], atol=tolerance, rtol=1e-4
    )


@n_trials
@all_scales
def test_known_variances_of_measurement_are_in_the_outcomes_own_unit(
    n: int, scales: Scales
) -> None:
    e = replace(data(n), known=torch.linspace(0, 2, n).double())
    assert e.known is not None
    K = covariance(e, scales) * scales.unit**2 + np.diag(e.known.numpy())
    outcomes = multivariate_normal(scales.unit * e.mean.numpy(), K)
    prior = norm(CENTER.logarithms, DEVIATIONS)
    densities = prior.logpdf(scales.logarithms) - prior.logpdf(CENTER.logarithms)
    expected = -outcomes.logpdf(e.y.numpy()) - densities.sum() - n * np.log(2 * np.pi) / 2
    at = e.evaluate(scales.logarithms)
    assert at.loss == pytest.approx(expected, abs=1e-6)
    error = check_grad(
        lambda t: e.evaluate(t).loss, lambda t: e.evaluate(t).gradient, scales.logarithms
    )
    assert error < 1e-4 * max(1.0, float(np.abs(at.gradient).max()))


@pytest.mark.parametrize("n", [2, 5, 30, 120])
@pytest.mark.parametrize("largest", [0.1, 3.0, 1e6])
def test_fit_with_known_variances_reaches_the_minimum_too(n: int, largest: float) -> None:
    e = replace(data(n), known=torch.linspace(0, largest, n).double())
    assert -e.fit().log_evidence < lbfgs(e) + 0.005


def lbfgs(e: Evidence) -> float:
    """Lowest loss that scipy's L-BFGS finds from the center and from another place."""
    low, center = np.log(2 * MINIMUM_NOISE), e.center.logarithms
    bounds = [(-9.0, 9.0)] * (len(center) - 1) + [(low, 9.0)]
    losses = []
    for shift in (0.0, 1.0):
        found = minimize(
            lambda t: (e.evaluate(t).loss, e.evaluate(t).gradient),
            center + shift * np.array([0.5, 1.0, -1.0, 0.3]),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8},
        )
        losses.append(float(found.fun))
    return min(losses)


@pytest.mark.parametrize("n", [1, 2, 5, 30, 120])
@pytest.mark.parametrize("unit", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("noise", [0.05, 0.1, 1.0])
def test_fit_reaches_the_minimum_that_lbfgs_reaches(n: int, unit: float, noise: float) -> None:
    e = data(n, unit, noise)
    assert -e.fit().log_evidence < lbfgs(e) + 0.005


@pytest.mark.parametrize("unit", [0.3, 1.0, 4.0])
def test_fit_without_noise_reaches_the_bounds_that_lbfgs_reaches(unit: float) -> None:
    e = data(120, unit, noise=0.0)
    assert -e.fit().log_evidence < lbfgs(e) + 0.005


@pytest.mark.parametrize("seed", range(5))
def test_fit_of_outcomes_that_nothing_explains_reaches_the_minimum(seed: int) -> None:
    e = data(40, seed=seed)
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal(40))
    for y in (noise, torch.zeros_like(noise), torch.where(noise > 1.5, -5.0, noise)):
        found = replace(e, y=y)
        assert -found.fit().log_evidence < lbfgs(found) + 0.005


def test_fit_is_that_of_its_scales() -> None:
    e = data(20)
    fit = e.fit()
    at = e.evaluate(fit.scales.logarithms)
    assert fit.log_evidence == pytest.approx(-at.loss)
    torch.testing.assert_close(fit.alpha, at.alpha)


def test_fit_ends_where_the_gradient_vanishes() -> None:
    found = data(60).fit().scales
    assert np.abs(data(60).evaluate(found.logarithms).gradient).max() < 0.1
    assert found.variances[1] > found.variances[0]  # the prediction has the first direction
    assert found.noise < 0.05


def test_unit_is_found() -> None:
    """Under a prior that asks for 1, so not quite."""
    small, large = (data(60, unit).fit().scales for unit in (0.5, 2.0))
    assert 3 < large.unit / small.unit < 4.2
    assert large.noise == pytest.approx(small.noise, rel=0.3)


def test_priors_hold_a_fit_to_little_data_near_its_center() -> None:
    found = data(2).fit().scales
    assert (np.abs(found.logarithms - CENTER.logarithms) < 1.5 * np.array(DEVIATIONS)).all()


def test_noise_stays_above_the_minimum() -> None:
    e = data(20)
    exact = Evidence(e.mean, e.mean, e.fixed, e.correlations, Scales(1.0, (0.5, 0.5), 1e-9))
    assert exact.fit().scales.noise >= MINIMUM_NOISE


def test_scales_are_read_from_their_logarithms() -> None:
    for scales in SCALES:
        assert Scales.of(scales.logarithms).logarithms == pytest.approx(scales.logarithms)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e9])
def test_scales_stay_within_their_bounds(size: float) -> None:
    e = data(20)
    found = replace(e, y=size * e.y).fit().scales.logarithms
    assert (np.abs(found) <= 9).all()
    assert found[-1] >= np.log(2 * MINIMUM_NOISE)


@n_trials
def test_likelihood_is_that_of_a_normal_distribution(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    A = torch.randn(n, n, generator=generator, dtype=torch.double)
    K = A @ A.T + 0.1 * torch.eye(n, dtype=torch.double)
    residual = torch.randn(n, generator=generator, dtype=torch.double)
    expected = -MultivariateNormal(torch.zeros_like(residual), K).log_prob(residual)
    torch.testing.assert_close(negative_log_likelihood(K, residual), expected)


def test_likelihood_is_differentiable() -> None:
    A = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double()
    y = torch.ones(4).double().requires_grad_()

    def loss(A: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return negative_log_likelihood(A @ A.T + torch.eye(4).double(), y)

    assert torch.autograd.gradcheck(loss, (A.requires_grad_(), y))


# --- relevances -------------------------------------------------------------------------------


def data_with_parameters(n: int, n_parameters: int = 4) -> Evidence:
    """A function of the first two of several parameters."""
    rng = np.random.default_rng(n)
    U = rng.random((n, n_parameters))
    y = torch.from_numpy(np.sin(5 * U[:, 0]) + 2 * U[:, 1] ** 2 + 0.05 * rng.normal(size=n))
    squared = torch.from_numpy(((U[:, None] - U) ** 2).transpose(2, 0, 1).copy())
    R = torch.full((2, n, n), 0.5).double() + 0.5 * torch.eye(n)
    fixed = torch.full((n, n), 100.0).double()
    return Evidence(y, torch.zeros(n).double(), fixed, R, center_of(n_parameters), squared)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_gradient_by_relevances_is_that_of_finite_differences(n: int) -> None:
    e = data_with_parameters(n)
    for shift in (0.0, 0.5, -1.0):
        at = e.center.logarithms + shift
        exact = e.evaluate(at).gradient
        numeric = approx_fprime(at, lambda t: e.evaluate(t).loss, 1e-6)
        np.testing.assert_allclose(exact, numeric, atol=2e-3 * max(1, np.abs(exact).max()))


def test_relevances_find_what_matters() -> None:
    e = data_with_parameters(40)
    fit = e.fit()
    found = np.array(fit.scales.relevances)
    assert found[:2].min() > 20 * found[2:].max()
    best = minimize(
        lambda t: e.evaluate(t).loss,
        e.center.logarithms,
        jac=lambda t: e.evaluate(t).gradient,
        method="L-BFGS-B",
    )
    assert -fit.log_evidence < best.fun + 0.005


def test_scales_are_read_back_with_relevances() -> None:
    scales = Scales(2.0, (0.1, 3.0, 1.0), 0.2, (0.5, 4.0))
    assert Scales.of(scales.logarithms, 2).logarithms == pytest.approx(scales.logarithms)


def test_learned_relevances_are_the_medians_and_known_better() -> None:
    center = center_of(3)
    learned = center.with_learned((5.0, float("nan"), 0.1))
    assert learned.relevances == (5.0, center.relevances[1], 0.1)
    assert learned.deviations[4:7].tolist() == [1.0, center.deviations[5], 1.0]
    assert center.deviations[5] > 1
    assert np.delete(learned.deviations, [4, 6]) == pytest.approx(
        np.delete(center.deviations, [4, 6])
    )


def test_few_trials_keep_to_learned_relevances() -> None:
    plain, few = data_with_parameters(2), data_with_parameters(2).center.relevances
    learned = replace(plain, center=plain.center.with_learned((50.0, 50.0, 1e-4, 1e-4)))
    found = np.array(learned.fit().scales.relevances)
    assert (found[:2] > 10 * few[0]).all() and (found[2:] < few[0] / 10).all()
