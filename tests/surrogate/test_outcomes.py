"""Properties of the label scaling, over random values of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.surrogate.outcomes import normal_scores
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.outcomes import scaled_as
from optuna_tnas.surrogate.outcomes import unit_of


def values_of(seed: int) -> np.ndarray:
    """2 to 40 values: normal, skewed, with ties, or with a heavy bad tail."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(int(rng.integers(2, 41)))
    kind = seed % 4
    if kind == 1:
        return -np.exp(2 * values)
    if kind == 2:
        return np.round(values)
    return np.where(rng.random(len(values)) < 0.2, -1e6, values) if kind == 3 else values


many = pytest.mark.parametrize("seed", range(40))


@many
def test_mean_is_zero_and_deviation_one(seed: int) -> None:
    values = values_of(seed)
    scaled = scale_labels(values)
    assert scaled.mean() == pytest.approx(0, abs=1e-9)
    assert scaled.std() == pytest.approx(1 if np.ptp(values) > 0 else 0)


@many
def test_unit_and_offset_do_not_matter(seed: int) -> None:
    values = values_of(seed)
    for scale, offset in [(100, 0), (1e-3, 5), (3, -7), (1e200, 0), (1e-200, 0)]:
        np.testing.assert_allclose(
            scale_labels(scale * values + offset), scale_labels(values), rtol=1e-5, atol=1e-5
        )


@many
def test_order_is_kept(seed: int) -> None:
    values = values_of(seed)
    scaled = scale_labels(values)[np.argsort(values, kind="stable")]
    assert (np.diff(scaled) >= 0).all()


@many
def test_the_better_half_stays_apart(seed: int) -> None:
    values = values_of(seed)
    better = values >= np.median(values)
    scaled = scale_labels(values)
    assert len(np.unique(scaled[better])) == len(np.unique(values[better]))


@many
def test_does_not_depend_on_the_order_of_values(seed: int) -> None:
    values = values_of(seed)
    order = np.random.default_rng(seed).permutation(len(values))
    np.testing.assert_allclose(scale_labels(values[order]), scale_labels(values)[order], atol=1e-9)


@pytest.mark.parametrize("n", [3, 5, 10, 50])
@pytest.mark.parametrize("outlier", [-1e9, -1e300, -1.7e308, -np.inf])
def test_one_diverged_network_leaves_the_others_apart(n: int, outlier: float) -> None:
    values = np.append(np.linspace(0.9, 0.93, n - 1), outlier)
    scaled = scale_labels(values)
    assert np.ptp(scaled[:-1]) > 0.3
    assert scaled.argmin() == n - 1 or outlier == -np.inf


def test_a_diverged_network_is_as_bad_as_one_somewhat_less_diverged() -> None:
    good = np.linspace(0.9, 0.93, 10)
    a, b = (scale_labels(np.append(good, bad)) for bad in (-1e3, -1e9))
    np.testing.assert_allclose(a, b)


def test_values_without_outliers_are_only_standardized() -> None:
    values = np.random.default_rng(0).uniform(size=100)
    np.testing.assert_allclose(scale_labels(values), (values - values.mean()) / values.std())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("magnitude", [1e-9, 1.0, 1e150])
def test_labels_return_to_their_unit(seed: int, magnitude: float) -> None:
    values = magnitude * (5 + np.random.default_rng(seed).random(50))
    center, unit = unit_of(values)
    np.testing.assert_allclose(center + unit * scale_labels(values), values, rtol=1e-9)


def test_the_unit_is_that_without_bad_outliers() -> None:
    values = np.append(np.random.default_rng(0).random(50), -1e9)
    center, unit = unit_of(values)
    np.testing.assert_allclose(center + unit * scale_labels(values)[:-1], values[:-1])
    assert unit < 3


def test_equal_values_become_zero() -> None:
    for value in (0.0, 0.1, -1e300, 1e-300, 1.7e308):
        for n in (1, 2, 7):
            assert scale_labels(np.full(n, value)).tolist() == [0.0] * n


def test_rounding_errors_of_equal_values_are_not_differences() -> None:
    assert scale_labels(np.array([0.3, 0.1 + 0.2, 0.3])).tolist() == [0.0] * 3


@pytest.mark.parametrize("magnitude", [1e-300, 1e-9, 1e9, 1e300, 1.7e308])
def test_any_magnitude_is_the_same_to_it(magnitude: float) -> None:
    values = np.array([1.0, 0.5, -0.25, 0.75])
    np.testing.assert_allclose(scale_labels(magnitude * values), scale_labels(values), atol=1e-9)


def test_infinite_values_are_the_best_or_worst_finite_one() -> None:
    scaled = scale_labels(np.array([0.5, np.inf, 0.7, -np.inf, 0.6]))
    np.testing.assert_array_equal(scaled, scale_labels(np.array([0.5, 0.7, 0.7, 0.5, 0.6])))


def test_only_infinite_values_are_good_and_bad() -> None:
    assert scale_labels(np.array([np.inf, -np.inf])).tolist() == [1.0, -1.0]
    assert scale_labels(np.array([-np.inf, -np.inf])).tolist() == [0.0, 0.0]


def test_no_values_are_no_labels() -> None:
    assert scale_labels(np.array([])).shape == (0,)


def test_does_not_change_its_argument() -> None:
    values = np.array([1.0, -np.inf, -1e9, 2.0])
    before = values.copy()
    scale_labels(values)
    np.testing.assert_array_equal(values, before)


@many
def test_normal_scores_depend_on_nothing_but_the_order(seed: int) -> None:
    values = values_of(seed)
    scores = normal_scores(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(scores[order]) >= 0).all()
    assert ((np.diff(scores[order]) > 0) == (np.diff(values[order]) > 0)).all()
    np.testing.assert_allclose(normal_scores(np.tanh(values / 1e7)), scores)
    np.testing.assert_allclose(normal_scores(-values), -scores, atol=1e-9)


def test_normal_scores_are_standard_normal() -> None:
    scores = normal_scores(np.random.default_rng(0).exponential(size=2000))
    assert scores.mean() == pytest.approx(0, abs=1e-9)
    assert scores.std() == pytest.approx(1, abs=0.01)
    assert np.quantile(scores, 0.975) == pytest.approx(1.96, abs=0.02)


def test_normal_scores_of_few_equal_or_infinite_values() -> None:
    assert len(normal_scores(np.array([]))) == 0
    assert (normal_scores(np.full(5, 0.3)) == 0).all()
    assert (normal_scores(np.array([7.0])) == 0).all()
    scores = normal_scores(np.array([0.5, np.inf, -np.inf]))
    assert np.isfinite(scores).all()
    assert (np.argsort(scores) == [2, 0, 1]).all()


@many
def test_values_are_scaled_as_the_reference_is(seed: int) -> None:
    reference = values_of(seed)
    np.testing.assert_allclose(scaled_as(reference, reference), scale_labels(reference), atol=1e-9)
    others = np.sort(values_of(seed + 4))
    assert (np.diff(scaled_as(reference, others)) >= 0).all()
    far = scaled_as(reference, np.array([-np.inf, np.inf]))
    assert far[0] <= scaled_as(reference, reference).min() and 1e3 < far[1] < np.inf


def test_values_beside_a_constant_reference_keep_their_differences() -> None:
    assert scaled_as(np.full(5, 3.0), np.array([3.0, 3.5])).tolist() == [0.0, 0.5]
