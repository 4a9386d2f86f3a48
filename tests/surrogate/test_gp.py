"""The study's GP against botorch's own posterior and against the textbook formula."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import warnings

from botorch.models import SingleTaskGP
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from scipy.stats import norm
import torch
from torch import Tensor

from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.gp import CENTER
from optuna_tnas.surrogate.gp import evidence
from optuna_tnas.surrogate.gp import fit_published_gp
from optuna_tnas.surrogate.gp import fit_transfer_gp
from optuna_tnas.surrogate.gp import fit_transfer_mixture
from optuna_tnas.surrogate.gp import HyperParameters
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import RELATED
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.gp import unfitted_gp
from optuna_tnas.surrogate.gp import UNRELATED
from optuna_tnas.surrogate.outcomes import scale_labels


Fit = Callable[[Tensor, Tensor], StudyGP]

HYPERPARAMETERS = HyperParameters(mean=0.3, outputscale=1.4, lengthscale=1.2, noise=0.1)


def random_latents(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((*shape, 4)))


def data(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    Z = random_latents(n, seed=seed)
    noise = np.random.default_rng(seed + 1).standard_normal(n)
    return Z, torch.from_numpy(scale_labels(Z.sum(dim=1).sin().numpy() + 0.2 * noise))


def matern(a: Tensor, b: Tensor) -> Tensor:
    distance = (a[:, None] - b).square().sum(dim=-1).sqrt()
    r = 5**0.5 * distance / HYPERPARAMETERS.lengthscale
    return HYPERPARAMETERS.outputscale * (1 + r + r**2 / 3) * torch.exp(-r)


@pytest.mark.parametrize("n", [1, 2, 25])
@pytest.mark.parametrize("shape", [(6, 1), (6, 3), (2, 3, 1), (2, 1, 1), (2, 3, 4), (5,), (1,)])
def test_posterior_is_botorchs(n: int, shape: Sequence[int]) -> None:
    gp = unfitted_gp(*data(n), HYPERPARAMETERS)
    X = random_latents(*shape, seed=5)
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
    Z, y = data(20)
    X = random_latents(8, seed=5)
    inverse = torch.linalg.inv(matern(Z, Z) + HYPERPARAMETERS.noise * torch.eye(20).double())
    weights = matern(X, Z) @ inverse
    mean = HYPERPARAMETERS.mean + weights @ (y - HYPERPARAMETERS.mean)
    covariance = matern(X, X) - weights @ matern(Z, X)
    with torch.no_grad():
        posterior = unfitted_gp(Z, y, HYPERPARAMETERS).posterior(X)
    torch.testing.assert_close(posterior.mean.flatten(), mean)
    torch.testing.assert_close(
        posterior.distribution.covariance_matrix, covariance, rtol=1e-6, atol=1e-6
    )


def test_posterior_at_an_observation_is_proper() -> None:
    Z, y = data(10)
    with torch.no_grad():
        gp = unfitted_gp(Z, y, HyperParameters(noise=MINIMUM_NOISE))
        for X in (Z.unsqueeze(-2), torch.stack([Z, Z], dim=-2)):
            posterior = gp.posterior(X)
            assert (posterior.variance > 0).all()
            assert posterior.rsample(torch.Size([3])).isfinite().all()


LABELS = {
    "one": [0.93],
    "two": [0.93, 0.91],
    "three": [0.93, 0.91, 0.2],
    "equal": [0.5] * 6,
    "outlier": [0.93, 0.91, 0.92, 0.9, -1e9],
    "three, one outlier": [0.93, 0.91, -1e9],
    "two, one outlier": [0.93, -1e9],
    "infinite": [0.93, -np.inf, np.inf, 0.91],
    "huge": [1e300, -1e300, 3e299],
}


def published(Z: Tensor, y: Tensor) -> StudyGP:
    return fit_published_gp(Z, y, HYPERPARAMETERS)


def transfer(Z: Tensor, y: Tensor) -> StudyGP:
    """Two latents, one structure, one study's prediction."""
    return fit_transfer_gp(Z, y, n_latents=2, n_studies=1)


both = pytest.mark.parametrize("fit", [published, transfer])


@both
@pytest.mark.parametrize("name", LABELS)
def test_fit_is_robust(fit: Fit, name: str) -> None:
    y = torch.from_numpy(scale_labels(np.array(LABELS[name])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sane(fit(random_latents(len(y)), y))


@both
def test_fit_survives_repeated_architectures(fit: Fit) -> None:
    Z, y = data(5)
    check_sane(fit(Z.repeat(4, 1), y.repeat(4)))
    y = torch.from_numpy(scale_labels(np.arange(20.0)))  # the same ones, with other values
    check_sane(fit(Z[:1].repeat(20, 1), y))


def check_sane(gp: StudyGP) -> None:
    assert 1e-8 < gp.covar_module.outputscale.item() < 1.4 * 300
    assert 0 < gp.likelihood.noise.item() < 100
    with torch.no_grad():
        posterior = gp.posterior(random_latents(50, 1, seed=9))
    assert posterior.mean.isfinite().all()
    assert posterior.mean.abs().max() < 20
    assert (posterior.variance > 0).all()


@both
def test_fit_depends_on_nothing_but_its_arguments(fit: Fit) -> None:
    for n in (1, 3, 12):
        states = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            gp = fit(*data(n))
            assert torch.equal(torch.get_rng_state(), before)
            states.append(gp.posterior(random_latents(5, 1)).variance)
        assert torch.equal(*states)


@both
def test_fitted_gp_needs_no_gradients(fit: Fit) -> None:
    gp = fit(*data(12))
    assert not any(p.requires_grad for p in gp.parameters())
    assert not gp.posterior(random_latents(3, 1)).mean.requires_grad


def test_published_fit_improves_the_likelihood() -> None:
    Z, y = data(40)
    before = log_marginal_likelihood(unfitted_gp(Z, y, HYPERPARAMETERS))
    assert log_marginal_likelihood(published(Z, y)) > before + 1


def log_marginal_likelihood(gp: StudyGP) -> float:
    gp.train()
    with torch.no_grad():
        marginal = gp.likelihood(gp(*gp.train_inputs))
        result = float(marginal.log_prob(gp.train_targets))
    gp.eval()
    return result


def test_starts_from_the_given_hyperparameters() -> None:
    gp = unfitted_gp(*data(3), HYPERPARAMETERS)
    assert gp.mean_module.constant.item() == pytest.approx(0.3)
    assert gp.covar_module.outputscale.item() == pytest.approx(1.4)
    assert gp.covar_module.base_kernel.lengthscale.item() == pytest.approx(1.2)
    assert gp.likelihood.noise.item() == pytest.approx(0.1)


@pytest.mark.parametrize("n", [1, 32, 33, 120])
def test_optimistic_gp_has_the_mean_and_bounds_the_variance(n: int) -> None:
    X = random_latents(200, 1, seed=5)
    for gp in (unfitted_gp(*data(n), HYPERPARAMETERS), transfer(*data(n))):
        with torch.no_grad():
            bound, exact = gp.optimistic().posterior(X), gp.posterior(X)
        torch.testing.assert_close(bound.mean, exact.mean)
        assert (bound.variance >= exact.variance * (1 - 1e-6)).all()
        assert bool((bound.variance > 1.01 * exact.variance).any()) == (n > 32)


# --- what the past predicts -----------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 25])
@pytest.mark.parametrize("shape", [(6, 1), (6, 3), (2, 3, 1), (5,)])
def test_posterior_with_a_past_is_botorchs(n: int, shape: Sequence[int]) -> None:
    gp, X = transfer(*data(n)), random_latents(*shape, seed=5)
    with torch.no_grad():
        ours, theirs = gp.posterior(X), SingleTaskGP.posterior(gp, X)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance, rtol=1e-4, atol=1e-5)


def predicted(n: int, weight: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs, and labels that are the past's prediction times ``weight``."""
    Z = random_latents(n, seed=seed)
    noise = 0.1 * torch.from_numpy(np.random.default_rng(seed).standard_normal(n))
    return Z, torch.from_numpy(scale_labels((weight * Z[:, -1] + noise).numpy()))


def correlation(gp: StudyGP) -> float:
    """Of the posterior mean far from the trials with the past's prediction."""
    far = 5 * random_latents(200, seed=9)
    far[:, -1] /= 5
    mean = gp.posterior(far.unsqueeze(-2)).mean.flatten()
    return float(torch.corrcoef(torch.stack([mean, far[:, -1]]))[0, 1])


def test_past_is_believed_before_there_is_evidence() -> None:
    assert correlation(transfer(*predicted(1, 1.0))) > 0.99
    assert correlation(transfer(*predicted(2, 1.0))) > 0.95


def test_past_is_believed_where_it_was_right() -> None:
    assert correlation(transfer(*predicted(30, 1.0))) > 0.95


def test_past_that_was_wrong_is_unlearned() -> None:
    Z, y = predicted(30, -1.0)
    assert correlation(transfer(Z, y)) < 0
    X, truth = predicted(200, -1.0, seed=1)
    mean = transfer(Z, y).posterior(X.unsqueeze(-2)).mean.flatten()
    assert torch.corrcoef(torch.stack([mean, truth]))[0, 1] > 0.5


def test_few_trials_turn_the_past_around() -> None:
    found = [correlation(transfer(*predicted(5, -1.0, seed))) for seed in range(8)]
    assert sum(r < -0.9 for r in found) >= 6


@pytest.mark.parametrize("n_studies", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 12])
def test_weights_of_the_studies_are_those_of_bayesian_regression(n: int, n_studies: int) -> None:
    Z = random_latents(n + 1, seed=1)[:n].repeat(1, 2)  # four latents, one structure
    y = torch.from_numpy(np.random.default_rng(2).standard_normal(n))
    e = evidence(Z, y, 4, n_studies)
    found, scales = fit_transfer_gp(Z, y, 4, n_studies).mean_module.weights, e.fit()
    terms = zip(scales.variances, e.correlations, strict=True)
    P = Z[:, -n_studies:].numpy()
    mu, D = P.sum(axis=1), P - P.mean(axis=1, keepdims=True)
    signal = sum(v * R for v, R in terms)
    K = 100 + np.outer(mu, mu) + signal + scales.noise * np.eye(n)
    precision = D.T @ np.linalg.solve(K, D) + np.eye(n_studies) / (4.0 * n_studies)
    b = np.linalg.solve(precision, D.T @ np.linalg.solve(K, y.numpy() / scales.label - mu))
    torch.testing.assert_close(found / scales.label, torch.from_numpy(1 + b))


def test_the_study_that_is_right_is_found_among_those_that_are_not() -> None:
    """Though the mean of them all says little."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        Z = torch.from_numpy(rng.standard_normal((6, 7)))  # the last four are predictions
        right = 4 * Z[:, 3] + 0.1 * torch.from_numpy(rng.standard_normal(6))
        y = torch.from_numpy(scale_labels(right.numpy()))
        weights = fit_transfer_gp(Z, y, 2, 4).mean_module.weights
        found.append(int(weights.argmax()))
    assert found.count(0) >= 16


def test_label_unit_does_not_change_what_is_found() -> None:
    """As it would if a study's best few, whose labels are spread out, met a fixed prediction."""
    Z, y = predicted(30, 1.0)
    X = random_latents(50, 1, seed=5)
    means = [transfer(Z, c * y).posterior(X).mean.flatten() / c for c in (1.0, 2.0)]
    assert torch.corrcoef(torch.stack(means))[0, 1] > 0.999


# --- whether it predicts at all -------------------------------------------------------------


def mixture(Z: Tensor, y: Tensor) -> Mixture:
    return fit_transfer_mixture(Z, y, n_latents=2, n_studies=1)


def test_probabilities_are_those_of_bayes() -> None:
    gps = [unfitted_gp(*data(5), HYPERPARAMETERS) for _ in range(3)]
    assert Mixture(gps[0]).probabilities.tolist() == [1.0]
    for gp, probability in zip(gps, (0.2, 0.1, 0.1), strict=True):
        gp.log_evidence = np.log(probability) - 500
    torch.testing.assert_close(
        Mixture(*gps).probabilities, torch.tensor([0.5, 0.25, 0.25]).double()
    )


def test_evidence_is_that_of_the_labels_and_the_scales() -> None:
    """Log evidences differ as log marginal likelihoods do where the scales are the same."""
    Z, y = predicted(12, 0.3)
    for gp, prior in zip(mixture(Z, y).gps, (RELATED, UNRELATED), strict=True):
        e = evidence(Z, y, 2, 1, prior)
        scales = e.fit()
        terms = zip(scales.variances, e.correlations, strict=True)
        K = e.fixed + sum(v * R for v, R in terms) + scales.noise * np.eye(12)
        likelihood = multivariate_normal.logpdf(
            y.numpy(), scales.label * e.mean, K * scales.label**2
        )
        deviation = scales.logarithms - CENTER.logarithms
        prior_density = norm.logpdf(deviation, scale=[1.0, 1.5, 1.5, 0.5]).sum()
        constants = -12 / 2 * np.log(2 * np.pi) + norm.logpdf(0, scale=[1.0, 1.5, 1.5, 0.5]).sum()
        assert gp.log_evidence == pytest.approx(likelihood + prior_density - constants)


def test_trials_tell_whether_the_past_says_anything() -> None:
    Z, y = predicted(30, 1.0)
    assert mixture(Z, y).probabilities[0] > 0.99
    assert mixture(*predicted(30, -1.0)).probabilities[0] > 0.99  # it does: turn it around
    nothing = [mixture(Z, data(30, seed=s)[1]).probabilities[0] for s in range(10, 20)]
    assert float(torch.stack(nothing).mean()) < 0.4


def test_trials_that_the_past_does_not_tell_apart_tell_nothing_about_it() -> None:
    Z, y = data(20)
    Z[:, -1] = 2.0
    assert float(mixture(Z, y).probabilities[0]) == pytest.approx(0.5, abs=0.02)


def test_past_that_says_nothing_is_not_looked_at() -> None:
    Z, y = data(20)
    gp = fit_transfer_gp(Z, y, 2, 1, prior=UNRELATED)
    alone = fit_transfer_gp(Z[:, :-1], y, 2, 0)
    X = random_latents(30, 1, seed=5)
    ours, theirs = gp.posterior(X), alone.posterior(X[..., :-1])
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)


def test_without_a_past_there_is_one_gp() -> None:
    Z, y = data(20)
    (gp,) = fit_transfer_mixture(Z, y, 2, 0).gps
    X = random_latents(30, 1, seed=5)
    torch.testing.assert_close(gp.posterior(X).mean, fit_transfer_gp(Z, y, 2, 0).posterior(X).mean)
    assert len(mixture(Z, y).gps) == 2


def test_mean_of_a_mixture_is_the_gps_mean() -> None:
    both_, X = mixture(*data(6)), random_latents(30, seed=5)
    p = both_.probabilities
    means = [gp.posterior(X.unsqueeze(-2)).mean.flatten() for gp in both_.gps]
    torch.testing.assert_close(both_.mean(X), p[0] * means[0] + p[1] * means[1])
    assert 0.01 < p[1] < 0.99
