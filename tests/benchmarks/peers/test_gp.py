from __future__ import annotations

from botorch.acquisition import LogExpectedImprovement
from botorch.acquisition import UpperConfidenceBound
from botorch.models import SingleTaskGP
from botorch.utils.testing import MockModel
from botorch.utils.testing import MockPosterior
import numpy as np
import pytest
from scipy.stats import norm
import torch

from benchmarks import peers
from benchmarks.peers._gp import CategoricalGP
from benchmarks.peers._gp import first_of
from benchmarks.peers._gp import log_expected_improvement
from benchmarks.peers._gp import upper_confidence_bound
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from tests.benchmarks.peers.toy import Toy


def fitted(space: Space, n: int) -> tuple[CategoricalGP, np.ndarray, np.ndarray]:
    """A GP on ``n`` noisy values between which the sum of the positions makes a difference."""
    rng = np.random.default_rng(n)
    X = space.sample(n, rng)
    y = 70 + 3 * X.sum(axis=1) + rng.normal(size=n)
    return CategoricalGP(X, y, space.n_choices), X, y


def botorch_moments(gp: CategoricalGP, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Botorch's own posterior."""
    with torch.no_grad():
        posterior = gp.model.posterior(torch.from_numpy(X / gp.n_choices))
    return posterior.mean.squeeze(-1).numpy(), posterior.variance.squeeze(-1).numpy()


@pytest.mark.parametrize("space", [NASBench201Space(), MobileNetV3Space()])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_posterior_is_botorchs(n: int, space: Space) -> None:
    gp, _, y = fitted(space, n)
    X = space.sample(9, np.random.default_rng(1))
    mean, variance = gp.predict(X)
    theirs = botorch_moments(gp, X)
    np.testing.assert_allclose(y.mean() + y.std(ddof=1) * mean, theirs[0], rtol=1e-6)
    np.testing.assert_allclose(y.var(ddof=1) * variance, theirs[1], rtol=1e-6)


def test_posterior_in_parts() -> None:
    gp, _, _ = fitted(NASBench201Space(), 10)
    X = NASBench201Space().sample(10_000, np.random.default_rng(1))
    some = np.array([0, 4095, 4096, 9999])
    for whole, part in zip(gp.predict(X), gp.predict(X[some]), strict=True):
        assert len(whole) == 10_000
        np.testing.assert_allclose(whole[some], part, rtol=1e-9)


def test_draws_have_the_posteriors_moments() -> None:
    gp, X, _ = fitted(NASBench201Space(), 30)
    new = np.concatenate([X[:3], NASBench201Space().sample(4, np.random.default_rng(1))])
    draws = gp.draw(new, 20_000, np.random.default_rng(2))
    mean, variance = gp.predict(new)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.05)
    with torch.no_grad():
        joint = gp.model(torch.from_numpy(new / gp.n_choices)).covariance_matrix.numpy()
    np.testing.assert_allclose(np.cov(draws.T), joint, atol=0.03)


def test_leave_one_out_is_a_gp_without_the_trial() -> None:
    gp, X, _ = fitted(NASBench201Space(), 12)
    mean, variance = gp.leave_one_out()
    for i in range(len(X)):
        others = np.arange(len(X)) != i
        model = SingleTaskGP(
            torch.from_numpy(X[others] / gp.n_choices),
            torch.from_numpy(gp.y[others, None]),
            covar_module=gp.model.covar_module,
            mean_module=gp.model.mean_module,
            likelihood=gp.model.likelihood,
            outcome_transform=None,
        )
        with torch.no_grad():
            posterior = model.posterior(torch.from_numpy(X[[i]] / gp.n_choices))
        assert mean[i] == pytest.approx(posterior.mean.item(), rel=1e-6, abs=1e-9)
        assert variance[i] == pytest.approx(posterior.variance.item(), rel=1e-6)


def test_equal_values() -> None:
    space = NASBench201Space()
    X = space.sample(10, np.random.default_rng(0)).repeat(2, axis=0)
    mean, variance = CategoricalGP(X, np.full(20, 5.0), space.n_choices).predict(X)
    np.testing.assert_allclose(mean, 0)
    assert np.isfinite(variance).all()


# --- what is maximized ----------------------------------------------------------------------


MEAN = np.array([-30.0, -3.0, -1.01, -0.99, 0.0, 0.5, 4.0, -1e4])
VARIANCE = np.array([1.0, 0.5, 1.0, 1.0, 2.0, 1e-6, 3.0, 1e-4])


def model_of(mean: np.ndarray, variance: np.ndarray) -> MockModel:
    columns = (torch.from_numpy(a)[:, None, None] for a in (mean, variance))
    return MockModel(MockPosterior(*columns))


def test_expected_improvement_is_botorchs() -> None:
    botorchs = LogExpectedImprovement(model_of(MEAN, VARIANCE), best_f=0.2)
    ours = log_expected_improvement(MEAN, VARIANCE, 0.2)
    np.testing.assert_allclose(ours, botorchs(torch.zeros(8, 1, 1)).numpy(), rtol=1e-6)


def test_expected_improvement_is_its_definition() -> None:
    u = (0.5 - 0.2) / 0.7
    expected = 0.7 * (u * norm.cdf(u) + norm.pdf(u))
    value = log_expected_improvement(np.array([0.5]), np.array([0.49]), 0.2)
    assert np.exp(value) == pytest.approx(expected)


def test_upper_bound_is_botorchs() -> None:
    botorchs = UpperConfidenceBound(model_of(MEAN, VARIANCE), beta=4.0)
    ours = upper_confidence_bound(MEAN, VARIANCE, 0.2)
    np.testing.assert_allclose(ours, botorchs(torch.zeros(8, 1, 1)).numpy())


def test_ties_are_drawn() -> None:
    rng = np.random.default_rng(0)
    values = np.array([0.0, 2.0, 1.0, 2.0 - 1e-12])
    assert {first_of(values, rng) for _ in range(50)} == {1, 3}


@pytest.mark.parametrize("method", ["gp_ei", "gp_ucb", "warm_gp"])
def test_finds_the_best(method: str, toy: Toy) -> None:
    """Values are nearly a sum over the edges, so a GP needs few of the 64 cells."""
    tried = toy.search(peers.make(method, toy.setting()), 25, until=toy.target.max())
    assert toy.target[tuple(tried.T)].max() == toy.target.max()


def test_trials_are_those_of_a_plain_loop(toy: Toy) -> None:
    tried = toy.search(peers.make("gp_ei", toy.setting()), 8)
    values = toy.target[tuple(tried.T)]
    for n in (5, 6, 7):
        gp = CategoricalGP(tried[:n], values[:n], toy.space.n_choices)
        score = log_expected_improvement(*gp.predict(toy.rows), gp.y.max())
        seen = (toy.rows[:, None] == tried[:n]).all(axis=2).any(axis=1)
        (chosen,) = np.flatnonzero((toy.rows == tried[n]).all(axis=1))
        assert score[chosen] == pytest.approx(score[~seen].max(), abs=1e-8)
