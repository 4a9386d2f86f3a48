"""The initial architectures: a set that covers the past tasks, and how much of it to try.

Wistuba and Grabocka, "Few-shot Bayesian optimization with deep kernel surrogates" (ICLR 2021):
choose the set that minimizes the mean over the past tasks of the best regret within the set.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor


# Among sets that cover the tasks equally, prefer architectures that are good on all of them.
_MEAN_WEIGHT = 0.1
# Minimum gain of one more warm-start architecture: increase of each study's best prediction,
# averaged over studies, in outcome standard deviations.
_WORTHWHILE = 0.2


def greedy_cover(regrets: np.ndarray, size: int) -> np.ndarray:
    """Choose up to ``size`` columns of ``Q x C`` regrets: their positions, best first."""
    chosen: list[int] = []
    covered = np.full(len(regrets), np.inf)
    for _ in range(min(size, regrets.shape[1])):
        coverage = np.minimum(covered[:, None], regrets).mean(axis=0)
        score = coverage + _MEAN_WEIGHT * regrets.mean(axis=0)
        score[chosen] = np.inf
        chosen.append(int(score.argmin()))
        covered = np.minimum(covered, regrets[:, chosen[-1]])
    return np.array(chosen, dtype=np.int64)


def start_size(predicted: Tensor) -> int:
    """Count the warm-start architectures to try before the GP decides: 1 if the studies agree.

    Args:
        predicted: ``w x Q``, each study's predictions for the set, whose order is kept; w >= 1.
    """
    covered = predicted.cummax(dim=0).values.mean(dim=1)
    worthwhile = covered.diff() > _WORTHWHILE
    return 1 + int(worthwhile.long().cumprod(dim=0).sum())
