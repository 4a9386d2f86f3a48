"""The default model of a study: how trials confirm, weigh and turn around the past."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from scipy.stats import norm
import torch
from torch import Tensor

from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.evidence import CENTER
from optuna_tnas.surrogate.evidence import Evidence
from optuna_tnas.surrogate.features import FeatureMap
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.transfer import Distances
from optuna_tnas.surrogate.transfer import evidence
from optuna_tnas.surrogate.transfer import MEAN_VARIANCE
from optuna_tnas.surrogate.transfer import RELATED
from optuna_tnas.surrogate.transfer import TransferModel
from optuna_tnas.surrogate.transfer import UNRELATED
from optuna_tnas.surrogate.transfer import WeightPrior
from tests.fixtures.trials import FEATURES
from tests.fixtures.trials import predicted
from tests.fixtures.trials import random_features
from tests.fixtures.trials import transfer
from tests.fixtures.trials import wavy


def of_widths(latents: int, structure: int, predictions: int) -> FeatureInputs:
    return FeatureInputs(Blocks.of_widths(latents, structure, predictions))


ALONE = of_widths(2, 1, 0)


def evidence_of(inputs: FeatureInputs, x: Tensor, y: Tensor, prior: WeightPrior) -> Evidence:
    return evidence(inputs, x, y, Distances.of(inputs, x), prior)


def correlation(gp: StudyGP) -> float:
    """Of the posterior mean far from the trials with the past's prediction."""
    far = 5 * random_features(200, seed=9)
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


@pytest.mark.parametrize("n_studies", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 12])
def test_weights_of_the_past_are_those_of_bayesian_regression(n: int, n_studies: int) -> None:
    """Far from all trials in latents and structure, only the constant and the past are left."""
    inputs = of_widths(3 - n_studies, 1, n_studies)
    x = random_features(n + 1, seed=1)[:n]
    y = torch.from_numpy(np.random.default_rng(2).standard_normal(n))
    gp = transfer(x, y, inputs)
    e = evidence_of(inputs, x, y, RELATED)
    scales = e.fit().scales
    terms = zip(scales.variances, e.correlations.numpy(), strict=True)
    residual = sum(v * R for v, R in terms) + scales.noise * np.eye(n)
    past = x[:, -n_studies:].numpy()
    design = np.column_stack([np.ones(n), past])
    inverse = np.linalg.inv(residual)
    variances = [MEAN_VARIANCE, *n_studies * [n_studies * RELATED.variance]]
    precision = design.T @ inverse @ design + np.diag(1 / np.array(variances))
    target = y.numpy() / scales.unit - RELATED.mean * past.sum(axis=1)
    constant, *weights = np.linalg.solve(precision, design.T @ inverse @ target)
    far = torch.full((n_studies + 1, 4), 1e3).double()
    far[:, -n_studies:] = torch.eye(n_studies + 1)[:, 1:]
    mean = gp.posterior(far.unsqueeze(-2)).mean.flatten() / scales.unit
    assert float(mean[0]) == pytest.approx(constant)
    expected = [RELATED.mean + w for w in weights]
    assert (mean[1:] - mean[0]).tolist() == pytest.approx(expected)
    assert gp.past_weights is not None and gp.past_weights.tolist() == pytest.approx(expected)


def test_trials_tell_which_past_study_is_right() -> None:
    for seed in range(8):
        x, y = predicted(10, 1.0, seed)  # by the last one of two
        gp = transfer(x, y, of_widths(1, 1, 2))
        assert gp.past_weights is not None
        wrong, right = gp.past_weights.tolist()
        assert right > 2 * abs(wrong)


def test_without_a_past_or_unrelated_to_it_nothing_has_a_weight() -> None:
    x, y = predicted(10, 1.0)
    assert transfer(x, y, prior=UNRELATED).past_weights is None
    assert transfer(x[:, :3], y, ALONE).past_weights is None
    related, unrelated = transfer(x, y), transfer(x, y, prior=UNRELATED)
    both = Mixture(related, unrelated)
    assert both.no_past == pytest.approx(float(both.probabilities[1]))
    assert both.past_weights is related.past_weights
    assert Mixture(unrelated).no_past == 1 and Mixture(unrelated).past_weights is None


def test_unit_does_not_change_what_is_found() -> None:
    """As it would if a study's best few, whose labels are spread out, met a fixed prediction."""
    Z, y = predicted(30, 1.0)
    X = random_features(50, 1, seed=5)
    means = [transfer(Z, c * y).posterior(X).mean.flatten() / c for c in (1.0, 2.0)]
    assert torch.corrcoef(torch.stack(means))[0, 1] > 0.999


# --- whether it predicts at all -------------------------------------------------------------


def mixture(x: Tensor, y: Tensor, inputs: FeatureInputs = FEATURES) -> Mixture:
    model = TransferModel(cast("FeatureMap", None))  # the features are here already
    return model.fit(inputs, x, y)


def test_evidence_is_that_of_the_labels_and_the_scales() -> None:
    """Log evidences differ as log marginal likelihoods do where the scales are the same."""
    Z, y = predicted(12, 0.3)
    for gp, prior in zip(mixture(Z, y).gps, (RELATED, UNRELATED), strict=True):
        e = evidence_of(FEATURES, Z, y, prior)
        scales = e.fit().scales
        terms = zip(scales.variances, e.correlations.numpy(), strict=True)
        K = e.fixed.numpy() + sum(v * R for v, R in terms) + scales.noise * np.eye(12)
        likelihood = multivariate_normal.logpdf(
            y.numpy(), scales.unit * e.mean.numpy(), K * scales.unit**2
        )
        deviation = scales.logarithms - CENTER.logarithms
        prior_density = norm.logpdf(deviation, scale=[1.0, 1.5, 1.5, 0.5]).sum()
        constants = -12 / 2 * np.log(2 * np.pi) + norm.logpdf(0, scale=[1.0, 1.5, 1.5, 0.5]).sum()
        assert gp.log_evidence == pytest.approx(likelihood + prior_density - constants)


def test_trials_tell_whether_the_past_says_anything() -> None:
    Z, y = predicted(30, 1.0)
    assert mixture(Z, y).probabilities[0] > 0.99
    assert mixture(*predicted(30, -1.0)).probabilities[0] > 0.99  # it does: turn it around
    nothing = [mixture(Z, wavy(30, seed=s)[1]).probabilities[0] for s in range(10, 20)]
    assert float(torch.stack(nothing).mean()) < 0.4


def test_trials_that_the_past_does_not_tell_apart_tell_nothing_about_it() -> None:
    Z, y = wavy(20)
    Z[:, -1] = 2.0
    assert float(mixture(Z, y).probabilities[0]) == pytest.approx(0.5, abs=0.02)


def test_past_that_says_nothing_is_not_looked_at() -> None:
    Z, y = wavy(20)
    gp = transfer(Z, y, prior=UNRELATED)
    alone = transfer(Z[:, :-1], y, ALONE)
    X = random_features(30, 1, seed=5)
    ours, theirs = gp.posterior(X), alone.posterior(X[..., :-1])
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)


def test_without_a_past_there_is_one_gp() -> None:
    Z, y = wavy(20)
    (gp,) = mixture(Z, y, of_widths(2, 2, 0)).gps
    X = random_features(30, 1, seed=5)
    torch.testing.assert_close(
        gp.posterior(X).mean, transfer(Z, y, of_widths(2, 2, 0)).posterior(X).mean
    )
    assert len(mixture(Z, y).gps) == 2


def test_known_features_are_used_as_far_as_they_tell_something() -> None:
    inputs = FeatureInputs(Blocks.of_widths(1, 1, known=1))
    x = random_features(80)[:, :3]
    for column in (0, 2):
        gp = transfer(x, x[:, column].sin(), inputs, UNRELATED)
        latents, _, known = gp.covar_module.variances.tolist()
        assert (known > 5 * latents) if column == 2 else (latents > 5 * known)


def test_known_noise_of_measurement_is_on_the_diagonal() -> None:
    """Against the posterior written out, at the same scales."""
    Z, y = wavy(20)
    noise = torch.linspace(0, 3, 20).double()
    X = random_features(30, seed=5)
    for gp, prior in zip(noisy(Z, y, noise).gps, (RELATED, UNRELATED), strict=True):
        distances = Distances.of(FEATURES, Z)
        scales = evidence(FEATURES, Z, y, distances, prior, noise).fit().scales
        variances = noise + scales.unit**2 * scales.noise
        kernel, mean = gp.covar_module, gp.mean_module
        K = kernel(Z).to_dense() + torch.diag(variances)
        between = kernel(X, Z).to_dense()
        expected = mean(X) + between @ torch.linalg.solve(K, y - mean(Z))
        explained = (between @ torch.linalg.solve(K, between.mT)).diagonal()
        posterior = gp.posterior(X.unsqueeze(-2))
        torch.testing.assert_close(posterior.mean.flatten(), expected)
        torch.testing.assert_close(
            posterior.variance.flatten(), kernel(X).to_dense().diagonal() - explained
        )


def test_what_is_all_noise_tells_nothing() -> None:
    Z, y = wavy(20)
    noise = torch.zeros(20).double()
    noise[15:] = 1e12
    X = random_features(30, 1, seed=5)
    ours, theirs = noisy(Z, y, noise), mixture(Z[:15], y[:15])
    for gp, alone in zip(ours.gps, theirs.gps, strict=True):
        torch.testing.assert_close(
            gp.posterior(X).mean, alone.posterior(X).mean, rtol=1e-3, atol=1e-3
        )


def noisy(x: Tensor, y: Tensor, noise: Tensor) -> Mixture:
    return TransferModel(cast("FeatureMap", None)).fit(FEATURES, x, y, noise)


def test_hypotheses_can_be_chosen() -> None:
    x, y = wavy(6)
    model = TransferModel(cast("FeatureMap", None), hypotheses=[UNRELATED])
    (gp,) = model.fit(FEATURES, x, y).gps
    X = random_features(5, 1, seed=5)
    expected = transfer(x, y, prior=UNRELATED).posterior(X).mean
    torch.testing.assert_close(gp.posterior(X).mean, expected)
