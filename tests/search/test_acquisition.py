"""The acquisition against the closed form and against brute force over all candidates."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from botorch.acquisition import ExpectedImprovement
from botorch.acquisition import qExpectedImprovement
from botorch.acquisition import qLogExpectedImprovement
from botorch.acquisition import qUpperConfidenceBound
from botorch.models import SingleTaskGP
from botorch.sampling import SobolQMCNormalSampler
import numpy as np
import pytest
import torch
from torch import Tensor

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.acquisition import AcquisitionName
from optuna_tnas.search.acquisition import check_acquisition
from optuna_tnas.search.acquisition import PriorMean
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.deep_kernel_gp import HyperParameters
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.paper import paper_gp
from optuna_tnas.surrogate.past import PastStudies


# Botorch warns of what is its own: the closed form used as an oracle, a pending candidate.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*has known numerical issues"),
    pytest.mark.filterwarnings("ignore:A not p.d."),
]

NAMES: tuple[AcquisitionName, ...] = ("qei", "qlogei", "ucb")
NO_PENDING = torch.empty(0, 3, dtype=torch.double)
INPUTS_OF = {n: FeatureInputs(Blocks.of_widths(3 - n, predictions=n)) for n in (1, 2)}
INPUTS = FeatureInputs(Blocks.of_widths(3))


def random_latents(n: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 3)))


def random_gp(n: int, seed: int) -> StudyGP:
    Z = random_latents(n, seed)
    noise = np.random.default_rng(seed).standard_normal(n)
    y = torch.from_numpy(scale_labels(Z.sum(dim=1).numpy() + noise))
    return paper_gp(INPUTS, Z, y, HyperParameters(lengthscale=1.5)).requires_grad_(False)


def random_mixture(n: int, seed: int) -> Mixture:
    """Two GPs that disagree on the same trials, the second one twice as probable."""
    first = random_gp(n, seed)
    Z, y = first.train_inputs[0], first.train_targets
    start = HyperParameters(mean=0.5, outputscale=2.0, lengthscale=0.5)
    second = paper_gp(INPUTS, Z, y, start).requires_grad_(False)
    second.log_evidence = np.log(2.0)
    return Mixture(first, second)


@pytest.mark.parametrize("n", [1, 5, 30])
def test_qei_is_about_the_closed_form(n: int) -> None:
    gp, Z = random_gp(n, seed=n), random_latents(200, seed=100)
    exact = ExpectedImprovement(gp, gp.train_targets.max())(Z.unsqueeze(-2))
    values = Acquisition("qei", Mixture(gp), NO_PENDING, seed=0).values(Z)
    assert (values - exact).abs().max() < 0.02
    torch.testing.assert_close(values.mean(), exact.mean(), rtol=0.1, atol=0)


def test_qlogei_is_the_logarithm_of_qei() -> None:
    gp, Z = random_gp(10, seed=0), random_latents(200, seed=100)
    values = Acquisition("qei", Mixture(gp), NO_PENDING, seed=0).values(Z)
    logarithm = Acquisition("qlogei", Mixture(gp), NO_PENDING, seed=0).values(Z)
    some = values > 0.01
    assert some.sum() > 20
    torch.testing.assert_close(logarithm[some].exp(), values[some], rtol=0.02, atol=1e-3)


def test_ucb_is_two_deviations_above_the_mean() -> None:
    gp, Z = random_gp(10, seed=0), random_latents(200, seed=100)
    values = Acquisition("ucb", Mixture(gp), NO_PENDING, seed=0).values(Z)
    posterior = gp.posterior(Z.unsqueeze(-2))
    bound = posterior.mean.flatten() + 2 * posterior.variance.sqrt().flatten()
    torch.testing.assert_close(values, bound, rtol=0.02, atol=0.02)


def joint_values(
    name: AcquisitionName, gp: StudyGP, pending: Tensor, Z: Tensor, seed: int
) -> Tensor:
    """Botorch's own joint value of every candidate, on its own posterior, no shortlist."""
    twin = SingleTaskGP(
        gp.train_inputs[0],
        gp.train_targets.unsqueeze(-1),
        likelihood=gp.likelihood,
        covar_module=gp.covar_module,
        mean_module=gp.mean_module,
        outcome_transform=None,
    ).eval()
    sampler = SobolQMCNormalSampler(torch.Size([128]), seed=seed)
    if name == "ucb":
        function = qUpperConfidenceBound(twin, 4.0, sampler)
    else:
        kind = qExpectedImprovement if name == "qei" else qLogExpectedImprovement
        function = kind(twin, gp.train_targets.max(), sampler)
    with torch.no_grad():
        return function(torch.cat([pending.expand(len(Z), -1, -1), Z.unsqueeze(-2)], dim=-2))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_pending", [1, 2, 5])
def test_best_is_that_of_brute_force_with_pending(name: AcquisitionName, n_pending: int) -> None:
    for seed in range(5):
        gp, Z = random_gp(8, seed), random_latents(300, seed + 100)
        pending = Z[: 2 * n_pending : 2]
        values = joint_values(name, gp, pending, Z, seed)
        chosen = Acquisition(name, Mixture(gp), pending, seed).best(Z, np.arange(len(Z)))
        assert values[chosen] == pytest.approx(values.max().item(), abs=1e-5)


def test_shortlist_does_not_lose_the_best() -> None:
    for seed in range(3):
        gp, Z = random_gp(8, seed), random_latents(2000, seed + 100)
        top = Acquisition("qei", Mixture(gp), NO_PENDING, seed).values(Z).topk(3).indices
        values = joint_values("qei", gp, Z[top], Z, seed)
        chosen = Acquisition("qei", Mixture(gp), Z[top], seed).best(Z, np.arange(len(Z)))
        assert values[chosen] == pytest.approx(values.max().item(), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 8, 33, 120])
def test_best_without_pending_has_the_highest_value(name: AcquisitionName, n: int) -> None:
    for seed in range(5):
        gp, Z = random_gp(n, seed), random_latents(3000, seed + 100)
        acquisition = Acquisition(name, Mixture(gp), NO_PENDING, seed)
        assert acquisition.best(Z, np.arange(len(Z))) == int(acquisition.values(Z).argmax())


def test_improvement_under_a_mixture_is_the_mean_of_its_gps_improvements() -> None:
    mixture, Z = random_mixture(10, seed=0), random_latents(200, seed=100)
    each = [Acquisition("qei", Mixture(gp), NO_PENDING, 0).values(Z) for gp in mixture.gps]
    expected = each[0] / 3 + 2 * each[1] / 3
    torch.testing.assert_close(Acquisition("qei", mixture, NO_PENDING, 0).values(Z), expected)
    logarithm = Acquisition("qlogei", mixture, NO_PENDING, 0).values(Z)
    torch.testing.assert_close(logarithm.exp(), expected, rtol=1e-4, atol=1e-9)
    draws = torch.randn(100_000, generator=torch.Generator().manual_seed(0)).double()
    for i in range(3):  # of draws from a GP that is drawn itself
        posteriors = [gp.posterior(Z[i : i + 1]) for gp in mixture.gps]
        f = [float(p.mean) + float(p.variance.sqrt()) * draws for p in posteriors]
        best = mixture.gps[0].train_targets.max()
        improvement = torch.cat([f[0], f[1], f[1]]).sub(best).clamp_min(0).mean()
        assert float(expected[i]) == pytest.approx(float(improvement), abs=0.02)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_pending", [0, 2])
def test_best_under_a_mixture_is_that_of_brute_force(
    name: AcquisitionName, n_pending: int
) -> None:
    for n in (8, 120):
        mixture, Z = random_mixture(n, seed=n), random_latents(500, seed=100)
        pending = Z[: 2 * n_pending : 2]
        acquisition = Acquisition(name, mixture, pending, seed=3)
        if n_pending:
            each = torch.stack([joint_values(name, gp, pending, Z, 3) for gp in mixture.gps])
        else:
            single = [Acquisition(name, Mixture(gp), pending, 3) for gp in mixture.gps]
            each = torch.stack([one.values(Z) for one in single])
        if name == "qlogei":
            each = each.exp()
        values = torch.tensor([1 / 3, 2 / 3]).double() @ each
        chosen = acquisition.best(Z, np.arange(len(Z)))
        assert values[chosen] == pytest.approx(values.max().item(), abs=1e-5)


def transfer_mixture(surrogate: MetaSurrogate, X: np.ndarray, n: int) -> tuple[Mixture, Tensor]:
    """The default model on ``n`` of the architectures, with a past; the inputs of them all."""
    values = X.sum(axis=1) + np.random.default_rng(n).standard_normal(len(X))
    studies = [(X[::3], X[::3].sum(axis=1).astype(float), None), (X[1::3], values[1::3], None)]
    surrogate.past = PastStudies.fit(surrogate.network, surrogate.structure, studies)
    model = surrogate.study_model(None)
    x = model.features(X)
    trials = torch.from_numpy(np.random.default_rng(1).permutation(len(X))[:n])
    y = torch.from_numpy(scale_labels(values))[trials]
    return model.fit(FeatureInputs(model.features.blocks), x[trials], y), x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [5, 49, 200])
def test_bounds_never_rule_the_best_out(
    name: AcquisitionName, n: int, surrogate_of: Callable[..., MetaSurrogate]
) -> None:
    surrogate = surrogate_of("nasbench201")
    X = np.unique(surrogate.space.sample(2000, np.random.default_rng(0)), axis=0)
    mixture, x = transfer_mixture(surrogate, X, n)
    acquisition = Acquisition(name, mixture, x[:0], seed=0)
    values, bounds = acquisition.values(x), acquisition._bounds(x)
    assert (bounds >= values - 1e-6 * values.abs()).all()
    rows = torch.arange(len(x))
    for offset in range(5):  # over several sets of candidates
        some = rows[offset::5]
        assert acquisition._contenders(x, some, bounds[some])[values[some].argmax()]
        best = int(some[values[some].argmax()])
        assert acquisition.best(x, some.numpy()) == best


def test_bounds_rule_most_candidates_out() -> None:
    gp, Z = random_gp(120, seed=0), random_latents(3000, seed=100)
    acquisition = Acquisition("qei", Mixture(gp), NO_PENDING, seed=0)
    with patch.object(acquisition, "values", wraps=acquisition.values) as values:
        acquisition.best(Z, np.arange(len(Z)))
    assert sum(len(call.args[0]) for call in values.call_args_list) < 600


def test_what_is_pending_is_not_chosen_again() -> None:
    for seed in range(5):
        gp, Z = random_gp(8, seed), random_latents(300, seed + 100)
        alone = Acquisition("qei", Mixture(gp), NO_PENDING, seed).best(Z, np.arange(len(Z)))
        chosen = Acquisition("qei", Mixture(gp), Z[[alone]], seed).best(Z, np.arange(len(Z)))
        assert chosen != alone
        assert (Z[chosen] - Z[alone]).norm() > 0.1


def unpromising(n: int) -> tuple[StudyGP, Tensor]:
    """A GP whose best observation nothing near the others can reach: qEI is exactly 0."""
    Z = torch.linspace(0, 1, 20, dtype=torch.double).unsqueeze(-1).repeat(1, 3)
    y = torch.linspace(0, 1, 20, dtype=torch.double)
    y[-1] = 50
    gp = paper_gp(INPUTS, Z, y, HyperParameters(lengthscale=0.2, noise=1e-3, outputscale=0.1))
    return gp.requires_grad_(False), Z[:n] + 0.01


def test_ties_go_to_the_higher_mean() -> None:
    gp, Z = unpromising(10)
    acquisition = Acquisition("qei", Mixture(gp), NO_PENDING, seed=0)
    assert acquisition.values(Z).tolist() == [0.0] * 10
    means = gp.posterior(Z.unsqueeze(-2)).mean.flatten()
    assert acquisition.best(Z, np.arange(len(Z))) == int(means.argmax()) != 0
    assert acquisition.best(Z.flip(0), np.arange(10)) == 9 - int(means.argmax())


@pytest.mark.parametrize("name", NAMES)
def test_ties_with_equal_means_go_to_the_first(name: AcquisitionName) -> None:
    """Far from all observations every candidate is the prior: exactly equal."""
    gp = random_gp(8, seed=0)
    Z = gp.train_inputs[0]
    known, far = Z[gp.train_targets.argsort()[:3]], 1e5 * random_latents(20, seed=1).abs()
    both = torch.cat([known, far])
    chosen = Acquisition(name, Mixture(gp), NO_PENDING, seed=0).best(both, np.arange(len(both)))
    assert chosen == 3


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_choice(name: AcquisitionName) -> None:
    gp, Z = random_gp(8, seed=0), random_latents(100, seed=1)
    values = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        acquisition = Acquisition(name, Mixture(gp), Z[:2], seed=3)
        values.append((acquisition.values(Z), acquisition.best(Z, np.arange(len(Z)))))
    assert torch.equal(values[0][0], values[1][0])
    assert values[0][1] == values[1][1]


def test_many_candidates_are_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    gp, Z = random_gp(8, seed=0), random_latents(100, seed=1)
    whole = Acquisition("qei", Mixture(gp), NO_PENDING, seed=0).values(Z)
    monkeypatch.setattr("optuna_tnas.search.acquisition.CHUNK", 7)
    torch.testing.assert_close(
        Acquisition("qei", Mixture(gp), NO_PENDING, seed=0).values(Z), whole
    )


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptunaTNASError, match=r"'thompson'.*qei.*qlogei.*ucb"):
        check_acquisition("thompson")
    for name in NAMES:
        check_acquisition(name)


def test_untrained_surrogate_agrees_with_a_plain_gp(
    surrogate_of: Callable[..., MetaSurrogate], study_gp: Callable[..., Mixture]
) -> None:
    """The same from end to end: architectures, latents, GP, closed-form improvement."""
    surrogate = surrogate_of("small")
    X = surrogate.space.enumerate()
    mixture = study_gp(surrogate, X[::7])
    (gp,) = mixture.gps
    Z = surrogate.study_model(None).features(X)
    exact = ExpectedImprovement(gp, gp.train_targets.max())(Z.unsqueeze(-2))
    chosen = Acquisition("qei", mixture, Z[:0], seed=0).best(Z, np.arange(len(Z)))
    assert exact[chosen] > exact.max() - 0.02


@pytest.mark.parametrize("n_pending", [0, 2])
def test_only_what_is_allowed_is_chosen(n_pending: int) -> None:
    gp, Z = random_gp(8, seed=0), random_latents(300, seed=1)
    acquisition = Acquisition("qei", Mixture(gp), Z[:n_pending], seed=0)
    allowed = np.arange(5, 300, 7)
    chosen = acquisition.best(Z, allowed)
    assert chosen in allowed
    assert chosen == allowed[acquisition.best(Z[allowed], np.arange(len(allowed)))]
    for n in (1, 2):
        total = Z[allowed, -n:].sum(dim=1)
        ranking = PriorMean(INPUTS_OF[n].prior_mean)
        assert ranking.best(Z, allowed) == allowed[int(total.argmax())]
