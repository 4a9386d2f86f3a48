"""Means, bootstrap intervals, ranks and quartiles of arrays in which NaN is a missing search.

The arrays' axes are targets, seeds and any others. A mean is over a target's seeds, then the
weighted sum over the targets: the targets are fixed, what varies is the seed.
"""

from __future__ import annotations

import numpy as np


RESAMPLES = 10_000
LEVEL = 0.95


def known_mean(x: np.ndarray, axis: int) -> np.ndarray:
    """The mean over those that are there; NaN where there is none."""
    there = np.isfinite(x)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, x, 0).sum(axis) / there.sum(axis))


def interval(x: np.ndarray, weights: np.ndarray, seed: int = 0) -> np.ndarray:
    """``T x S x K`` -> ``2 x K``: percentile bootstrap interval of the K means.

    Of each target as many of its seeds are drawn, with replacement, as it has; targets are drawn
    from independently of each other. NaN if a target has fewer than two seeds.
    """
    rng = np.random.default_rng(seed)
    means = sum(w * resampled_means(t, rng) for w, t in zip(weights, x, strict=True))
    tail = (1 - LEVEL) / 2
    ends: np.ndarray = np.quantile(means, [tail, 1 - tail], axis=0)
    return ends


def resampled_means(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``S x K`` -> ``RESAMPLES x K``: means over rows drawn with replacement.

    A column's rows are those where it is not NaN. How often each of ``n`` rows is drawn is
    multinomial, which makes the means one product of matrices.
    """
    means = np.full((RESAMPLES, x.shape[1]), np.nan)
    patterns, pattern_of = np.unique(np.isfinite(x), axis=1, return_inverse=True)
    for i, rows in enumerate(patterns.T):
        if (n := int(rows.sum())) > 1:
            columns = pattern_of.ravel() == i
            drawn = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
            means[:, columns] = drawn @ x[np.ix_(rows, columns)] / n
    return means


def ranks(regret: np.ndarray) -> np.ndarray:
    """Methods x targets x seeds x evaluations -> the same: 1 is the best, ties share their mean.

    A rank is 1 and, for every other method, 1 if that is better or 1/2 if it is as good. Where it
    has no such search, its mean over the target's seeds that both have stands in. A method that
    did not get so far on some target is not counted there and has no rank.
    """
    result = np.empty_like(regret)
    there = np.isfinite(regret)
    counts = there.any(axis=2).all(axis=1)[:, None, None]
    for m, own in enumerate(regret):
        better = (np.sign(own - regret) + 1) / 2  # 1/2 beside itself
        better = np.where(np.isfinite(better), better, known_mean(better, axis=2)[:, :, None])
        result[m] = np.where(counts, better, 0).sum(axis=0) + 1 / 2
    return np.where(there & counts, result, np.nan)


def quartiles(needed: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; those that fall among infinite ones are so too."""
    never = 1e12
    finite = needed[np.isfinite(needed)]
    quantiles = np.quantile(np.minimum(needed, never), [0.25, 0.5, 0.75])
    low, median, high = np.where(quantiles <= finite.max(initial=0), quantiles, np.inf).tolist()
    return low, median, high
