"""Objective values as a GP wants them, whatever their unit."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata


# How many times the spread of the better half a value may lie below the median. Architectures
# that far down are all simply bad; without a bound one diverged network squashes the rest.
_WORST = 5.0
_FAR = 1e6  # in place of infinity, in standard deviations


def scale_labels(values: np.ndarray) -> np.ndarray:
    """Standardize one task's values (higher is better), robustly against bad outliers.

    Values below ``median - 5 (best quartile - median)`` are raised to that bound, then the mean
    becomes 0 and the standard deviation 1. Infinite values count as the best or the worst finite
    one; equal values all become 0.

    Args:
        values: ``n`` float, no NaN.

    Returns:
        ``n`` float64.
    """
    values = finite(np.asarray(values, dtype=np.float64))
    if len(values) == 0:
        return values
    values = np.maximum(values, _lowest_useful(values))
    values = values / max(1.0, float(np.abs(values).max()))  # sums of huge values overflow
    centered = values - values.mean()
    magnitude = np.abs(centered).max()
    if magnitude <= 1e-12 * max(1e-300, float(np.abs(values).max())):
        return np.zeros_like(values)
    centered = centered / magnitude  # squares of tiny values vanish
    scaled: np.ndarray = centered / centered.std()
    return scaled


def unit_of(values: np.ndarray) -> tuple[float, float]:
    """Return what :func:`scale_labels` subtracts from one task's values and divides them by.

    Args:
        values: ``n`` float, no NaN, n >= 1.
    """
    values = finite(np.asarray(values, dtype=np.float64))
    values = np.maximum(values, _lowest_useful(values))
    size = max(1.0, float(np.abs(values).max()))  # sums of huge values overflow
    return size * float((values / size).mean()), size * float((values / size).std())


def scaled_as(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Scale values as :func:`scale_labels` scales one task's, the reference's.

    Args:
        reference: ``n`` float, no NaN, n >= 1.
        values: ``m`` float, no NaN.

    Returns:
        ``m`` float64; infinite ones become the bound, or what is far above all others.
    """
    center, unit = unit_of(reference)
    lowest = _lowest_useful(finite(np.asarray(reference, dtype=np.float64)))
    scaled = (np.maximum(values, lowest) - center) / (unit or 1.0)
    return np.asarray(np.clip(scaled, -_FAR, _FAR))


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Each value's rank as a standard normal quantile: what is the same in every unit.

    Equal values share the quantile of their mean rank; infinite ones are the best or the worst.
    Salinas et al., "A quantile-based approach for hyperparameter transfer learning" (ICML 2020).

    Args:
        values: ``n`` float, no NaN.

    Returns:
        ``n`` float64.
    """
    return np.asarray(ndtri((rankdata(values) - 0.5) / max(1, len(values))))


def _lowest_useful(values: np.ndarray) -> float:
    """The bound below which values say no more than "bad"."""
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75], method="higher")
    with np.errstate(over="ignore"):
        spreads = [upper - median, values.max() - median, median - lower]
        spread = next((s for s in spreads if s > 0), np.inf)
        return float(median - _WORST * spread)


def finite(values: np.ndarray) -> np.ndarray:
    """Infinite values become the best or the worst finite one."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return np.where(values > 0, 1.0, -1.0)
    return np.asarray(np.clip(values, known.min(), known.max()))
