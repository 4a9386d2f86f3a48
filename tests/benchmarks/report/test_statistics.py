from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap
from scipy.stats import rankdata

from benchmarks.report.statistics import interval
from benchmarks.report.statistics import known_mean
from benchmarks.report.statistics import quartiles
from benchmarks.report.statistics import ranks
from benchmarks.report.statistics import RESAMPLES


NAN = np.nan


def test_known_mean() -> None:
    x = np.array([[[1.0, NAN], [3.0, NAN]], [[5.0, 7.0], [NAN, 9.0]]])
    np.testing.assert_array_equal(known_mean(x, axis=1), [[2, NAN], [5, 8]])


# --- bootstrap ------------------------------------------------------------------------------


def drawn(x: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> float:
    """The mean of one resample of ``T x S`` pairs, written as it is told."""
    seeds = [s for s in range(x.shape[1]) if np.isfinite(x[:, s]).any()]
    resample = [seeds[rng.integers(len(seeds))] for _ in seeds]
    total = 0.0
    for pairs, weight in zip(x, weights, strict=True):
        total += weight * np.mean([pairs[s] for s in resample if np.isfinite(pairs[s])])
    return total


def test_interval_is_that_of_a_loop() -> None:
    """Of two columns, one with seeds that are missing, of some targets or of all."""
    rng = np.random.default_rng(1)
    x = rng.exponential(size=(3, 12, 2)) * np.array([1, 2, 5])[:, None, None]
    x[1, 9:, 1] = NAN
    x[:, 0, 1] = NAN
    weights = np.array([0.5, 0.25, 0.25])
    low, high = interval(x, weights)
    for k in range(2):
        means = [drawn(x[..., k], weights, rng) for _ in range(5000)]
        expected = np.quantile(means, [0.025, 0.975])
        np.testing.assert_allclose([low[k], high[k]], expected, atol=0.05 * np.ptp(expected))


@pytest.mark.parametrize("n", [5, 30])
@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.25, 0.25]])
def test_interval_is_that_of_scipy(n: int, weights: list[float]) -> None:
    """On whole searches the statistic is a mean over the seeds."""
    x = np.random.default_rng(n).normal(3, 2, size=(len(weights), n))
    x += x[0]  # alike on all targets
    found = interval(x[..., None], np.array(weights)).ravel()
    by_seed = np.array(weights) @ x
    scipys = bootstrap((by_seed,), np.mean, method="percentile", n_resamples=RESAMPLES, rng=0)
    expected = list(scipys.confidence_interval)
    np.testing.assert_allclose(found, expected, atol=0.03 * np.ptp(expected))


def test_interval_covers_the_mean_when_seeds_are_alike() -> None:
    """Each column is a benchmark whose true difference is 0."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 30, 1000)) + 0.5 * rng.normal(size=(4, 30, 1000))
    low, high = interval(x, np.full(4, 0.25))
    assert 0.92 < np.mean((low < 0) & (high > 0)) < 0.97


def test_interval_of_pairs_that_differ_alike() -> None:
    low, high = interval(np.full((2, 4, 3), -0.5), np.array([0.5, 0.5]))
    np.testing.assert_allclose([low, high], -0.5)


def test_no_interval_of_one_pair() -> None:
    x = np.array([[[1.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [NAN, 3.0]]])
    low, high = interval(x, np.array([0.5, 0.5]))
    assert np.isnan([low[0], high[0]]).all()
    assert [low[1], high[1]] == [1.0, 2.5]


def test_resamples_without_one_of_a_targets_seeds() -> None:
    """Two targets with two seeds each and none in common."""
    x = np.array([[1.0, 2, NAN, NAN], [NAN, NAN, 5, 7]])[..., None]
    low, high = interval(x, np.array([0.5, 0.5])).ravel()
    assert (low, high) == (3.0, 4.5)


def test_interval_repeats() -> None:
    """And a column's does not depend on the others."""
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    x[0, 1, 1] = NAN
    weights = np.array([0.5, 0.5])
    together = interval(x, weights)
    apart = np.hstack([interval(x[..., [k]], weights) for k in range(3)])
    np.testing.assert_allclose(together, apart)


# --- ranks ----------------------------------------------------------------------------------


def test_ranks_are_those_of_scipy() -> None:
    regret = np.random.default_rng(0).integers(0, 4, size=(5, 3, 4, 6)).astype(float)
    np.testing.assert_allclose(ranks(regret), rankdata(regret, axis=0))


def test_ranks_with_missing_searches() -> None:
    """The mean rank is 1 and the share of common seeds on which each other one is better."""
    regret = np.random.default_rng(0).integers(0, 4, size=(4, 2, 6, 1)).astype(float)
    regret[1, :, 4:] = NAN
    regret[2, 0, 1] = NAN
    mean = known_mean(ranks(regret), axis=2)[..., 0]
    for m in range(4):
        for t in range(2):
            expected = 1.0
            for k in {0, 1, 2, 3} - {m}:
                ours, theirs = regret[m, t, :, 0], regret[k, t, :, 0]
                common = np.isfinite(ours) & np.isfinite(theirs)
                better, same = theirs[common] < ours[common], theirs[common] == ours[common]
                expected += np.mean(better + 0.5 * same)
            assert mean[m, t] == pytest.approx(expected)
    np.testing.assert_array_equal(np.isnan(ranks(regret)), np.isnan(regret))


def test_methods_that_ended_early_are_not_ranked_later() -> None:
    regret = np.array([[1.0, 1.0], [2.0, NAN], [3.0, 3.0]]).reshape(3, 1, 1, 2)
    np.testing.assert_array_equal(ranks(regret)[:, 0, 0], [[1, 1], [2, NAN], [3, 2]])


# --- quartiles ------------------------------------------------------------------------------


def test_quartiles() -> None:
    assert quartiles(np.array([1.0, 2, 3, 4, 5])) == (2, 3, 4)
    assert quartiles(np.array([1.0, 2, 3, np.inf, np.inf])) == (2, 3, np.inf)
    assert quartiles(np.array([1.0, np.inf])) == (np.inf, np.inf, np.inf)
    assert quartiles(np.array([np.inf])) == (np.inf, np.inf, np.inf)
