"""Means, bootstrap intervals, ranks and quartiles of arrays in which NaN is a missing search.

The arrays' axes are targets, seeds and any others. A mean is over a target's seeds, then the
weighted sum over the targets: the targets are fixed, what varies is the seed.
"""

from __future__ import annotations

import numpy as np


RESAMPLES = 10_000
LEVEL = 0.95


def known_mean(x: np.ndarray, axis: int) -> np.ndarray:
    """Average the values that are not NaN; NaN where there is none."""
    there = np.isfinite(x)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, x, 0).sum(axis) / there.sum(axis))


def interval(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bootstrap percentile intervals of the K means: ``T x S x K`` -> ``2 x K``.

    As many seeds are drawn, with replacement, as there are; the targets' means are over those
    drawn that they have. The seeds are the same for all targets, as one seed's searches are alike:
    their pasts share tasks, and samplers may begin with the same architectures. NaN if a target
    has fewer than two seeds.
    """
    ends = np.full((2, x.shape[2]), np.nan)
    tail = (1 - LEVEL) / 2
    patterns, pattern_of = np.unique(np.isfinite(x), axis=2, return_inverse=True)
    for i, there in enumerate(np.moveaxis(patterns, 2, 0)):
        columns = pattern_of.ravel() == i
        if (there.sum(axis=1) > 1).all():
            means = _resampled_means(x[..., columns], there, weights)
            ends[:, columns] = np.nanquantile(means, [tail, 1 - tail], axis=0)
    return ends


def ratio_interval(x: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bootstrap percentile intervals of the ratios of K means: twice ``T x S x K`` -> ``2 x K``.

    Seeds are drawn as for :func:`interval`, the same for both; no search may be missing.
    """
    there = np.isfinite(x).all(axis=2)
    resampled, others = (_resampled_means(each, there, weights) for each in (x, other))
    tail = (1 - LEVEL) / 2
    return np.asarray(np.quantile(resampled / others, [tail, 1 - tail], axis=0))


def _resampled_means(x: np.ndarray, there: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Resample means: ``T x S x K``, ``T x S`` -> ``RESAMPLES x K``; NaN for an empty target.

    How often each of ``n`` seeds is drawn is multinomial, so the sums are products of matrices.
    """
    n = int(there.any(axis=0).sum())
    drawn = np.zeros((RESAMPLES, there.shape[1]))
    rng = np.random.default_rng(0)
    drawn[:, there.any(axis=0)] = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    means = np.zeros((RESAMPLES, x.shape[2]))
    with np.errstate(invalid="ignore"):
        for values, has, weight in zip(x, there, weights, strict=True):
            sums = drawn[:, has] @ values[has]
            means += weight * sums / drawn[:, has].sum(axis=1, keepdims=True)
    return means


def ranks(regret: np.ndarray) -> np.ndarray:
    """Rank methods on each target, seed and evaluation: 1 is the best, ties share their mean.

    The shape, methods x targets x seeds x evaluations, stays.

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
    """Return the quartiles; those that fall among infinite values are infinite."""
    never = 1e12
    finite = needed[np.isfinite(needed)]
    quantiles = np.quantile(np.minimum(needed, never), [0.25, 0.5, 0.75])
    low, median, high = np.where(quantiles <= finite.max(initial=0), quantiles, np.inf).tolist()
    return low, median, high
