"""Trials with several objectives in the order of their fronts.

Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002): by the front
that they are on, then by the distance to the neighbors there.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


_MAX_RANKED = 512  # trials whose front is looked for, the best ones; the others share one rank


def fronts(Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank points by their fronts.

    Args:
        Y: ``n x M`` values, higher is better, no NaN; their units do not matter.

    Returns:
        ``n`` ranks of the fronts, the first one being 0 and the others below; ``n`` distances to
        the neighbors on the front, infinite at its ends.
    """
    ranks = rankdata(Y, method="dense", axis=0)  # that infinite values can be summed
    front, distance = np.full(len(Y), -len(Y)), np.zeros(len(Y))
    left = np.arange(len(Y))
    number = 0
    while len(left) > 0 and len(Y) - len(left) < _MAX_RANKED:
        first = non_dominated(ranks[left])
        front[left[first]], distance[left[first]] = number, _crowding(Y[left[first]])
        left, number = left[~first], number - 1
    return front, distance


def non_dominated(Y: np.ndarray) -> np.ndarray:
    """Tell which points no other is better than, all objectives together: ``n x M`` -> ``n``."""
    left = np.ones(len(Y), dtype=bool)
    for i in np.argsort(-Y.sum(axis=1), kind="stable"):  # what dominates comes before
        if left[i]:
            left &= ~((Y[i] >= Y).all(axis=1) & (Y[i] > Y).any(axis=1))
    return left


def _crowding(Y: np.ndarray) -> np.ndarray:
    """Sum the gaps between both neighbors in each objective, whose range is 1: ``n x M`` -> ``n``.

    Infinite values count as the best or the worst finite one.
    """
    distance = np.zeros(len(Y))
    for column in Y.T:
        known = column[np.isfinite(column)]
        column = np.clip(column, known.min(initial=1e300), known.max(initial=-1e300))
        order = np.argsort(column, kind="stable")
        gaps = np.full(len(column), np.inf)
        gaps[order[1:-1]] = column[order[2:]] - column[order[:-2]]
        distance += gaps / (np.ptp(column) or 1.0)
    return distance
