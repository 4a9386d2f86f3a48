"""RGPE, the ranking-weighted Gaussian process ensemble.

Feurer, Letham and Bakshy, "Scalable Meta-Learning for Bayesian Optimization" (ICML 2018 AutoML
workshop, https://arxiv.org/abs/1802.02219v1), the first form of Feurer, Letham, Hutter and Bakshy,
"Practical Transfer Learning for Bayesian Optimization" (2022). A GP per past study and one on the
new task predict together; a model's weight is the share of 256 draws from the models' posteriors
in which it ranks the new task's trials with the fewest wrong pairs. For the new task's own model,
each trial is predicted from the others. As in the paper:

- a tie of the new task's model with others is its own;
- a past model is left out if its median loss exceeds the 95th percentile of the own model's;
- the ensemble's mean is the weighted mean; its variance sums variances times squared weights.

The later paper drops past models at random, the more often the less of the budget is left; a
sampler is not told the budget. Ours to choose were:

- the start, which is ``warm_gp``'s: five trials of the past's best, so that the two differ in the
  surrogate only (the authors draw at random, or learn a start from the past's models);
- the incumbent of expected improvement: the highest ensemble mean of a trial, since past models
  predict on a scale of their own (the authors average over draws of it).

The paper has no figure on these tables; the weights are checked against a count of wrong pairs one
by one in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._gp import first_of
from benchmarks.peers._gp import GP
from benchmarks.peers._gp import gp_on
from benchmarks.peers._gp import log_expected_improvement
from benchmarks.peers._gp import past_gps
from benchmarks.peers._joint import searched_space
from benchmarks.peers._sequential import best_of_past
from benchmarks.peers._sequential import everything
from benchmarks.peers._sequential import number
from benchmarks.peers._sequential import Searched
from benchmarks.peers._sequential import SequentialSampler
from benchmarks.peers._sequential import unseen_candidates


DRAWS = 256


def sampler(setting: Setting) -> BaseSampler:
    space = searched_space(setting)
    past = past_gps(setting.history, space)
    tabulated = [TabulatedGP(gp, space) for gp in past]

    def propose(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        own = gp_on(space, X, y)
        weights = rank_weights(past, own, X, rng)
        pool = unseen_candidates(space, X, y, rng)
        incumbent = ensemble([*past, own], weights, X)[0].max()
        moments = ensemble([*tabulated, own], weights, pool)
        return np.asarray(pool[first_of(log_expected_improvement(*moments, incumbent), rng)])

    initial = best_of_past(setting.history, space, 5)
    return SequentialSampler(space, propose, initial, setting.seed)


class TabulatedGP:
    """A past model whose predictions on an enumerable space are computed once."""

    def __init__(self, gp: GP, space: Searched) -> None:
        self._gp = gp
        self._space = space
        if space.enumerable:
            X, self._numbers = everything(space)
            self._moments = np.stack(gp.predict(X))  # 2 x N

    def predict(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``m`` means and ``m`` variances of ``m x P`` architectures."""
        if not self._space.enumerable:
            return self._gp.predict(X)
        mean, variance = self._moments[:, np.searchsorted(self._numbers, number(self._space, X))]
        return mean, variance


def ensemble(
    models: Sequence[GP | TabulatedGP], weights: np.ndarray, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predict ``m`` means and ``m`` variances of ``m x P`` architectures."""
    mean, variance = np.zeros(len(X)), np.zeros(len(X))
    for model, weight in zip(models, weights, strict=True):
        if weight > 0:
            moments = model.predict(X)
            mean += weight * moments[0]
            variance += weight**2 * moments[1]
    return mean, variance


# --- weights --------------------------------------------------------------------------------


def rank_weights(
    past: Sequence[GP], own: GP, X: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Weigh the past models and, last, the own one by ranking; weights sum to 1.

    Args:
        past: The past studies' models.
        own: The model of the new task's trials.
        X: ``n x P``, those trials' architectures.
        rng: Source of the draws.
    """
    draws = [gp.draw(X, DRAWS, rng) for gp in past]
    losses = [_wrong_pairs(f[:, :, None] < f[:, None], own.y) for f in draws]
    mean, variance = own.leave_one_out()
    f = mean + np.sqrt(variance) * rng.normal(size=(DRAWS, len(X)))
    losses.append(_wrong_pairs(f[:, :, None] < own.y, own.y))
    return shares(np.array(losses))


def _wrong_pairs(below: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Count wrong pairs: ``S x n x n`` (draw puts one trial below another) -> ``S``."""
    wrong = below ^ (y[:, None] < y)
    wrong[:, np.arange(len(y)), np.arange(len(y))] = False
    return np.asarray(wrong.sum(axis=(1, 2)))


def shares(losses: np.ndarray) -> np.ndarray:
    """Turn ``(M + 1) x S`` losses, the own model's last, into ``M + 1`` weights."""
    losses = losses.astype(np.float64)
    dropped = np.median(losses[:-1], axis=1) > np.percentile(losses[-1], 95)
    losses[:-1][dropped] = np.inf
    best = losses == losses.min(axis=0)
    best[:-1] &= ~best[-1]
    return np.asarray((best / best.sum(axis=0)).mean(axis=1))
