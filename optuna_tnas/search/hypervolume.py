"""Ranks candidates by what they add to the hypervolume of a study's front.

The region that no trial dominates is cut into boxes; the expected hypervolume improvement is a
sum over them of products over the objectives, since those are independent given the trials::

    EHVI(x) = sum_k prod_j ( E[max(f_j(x) - l_kj, 0)] - E[max(f_j(x) - u_kj, 0)] )

Yang et al., "Efficient computation of expected hypervolume improvement using box decomposition
algorithms" (2019). An expectation over a mixture is the mean over its parts, so it stays exact.
"""

from __future__ import annotations

from collections.abc import Sequence

from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.acquisition import highest
from optuna_tnas.search.acquisition import Limits
from optuna_tnas.search.objectives import Belief
from optuna_tnas.search.objectives import Objective
from optuna_tnas.studies.fronts import fronts


_N_DRAWS = {2: 32, 3: 16}  # of the running trials' values, by the number of objectives
_N_DRAWS_OF_MANY = 8
_SHORTLIST = 512  # candidates that are scored jointly with the running trials
_MAX_EXACT, _N_OF_MANY = 4, 16  # objectives, and points of the front of more
_SIZE = 1 << 22  # pairs of a candidate and a box at a time
_MARGIN = 0.1  # of the reference point below the trials, in parts of their range
_LOW = 0.1  # the share of random architectures that may be below the reference point


class HypervolumeImprovement:
    """Ranks candidates by their expected improvement of the hypervolume.

    The front is that of the values that the objectives' models give the trials, without noise.

    Args:
        objectives: What is believed of each of M objectives.
        trials: ``n x d`` inputs of the trials with values.
        pending: ``p x d`` inputs of the running trials, p >= 0.
        random: ``r x d`` inputs of random architectures, r >= 1.
        seed: Seed of the quasi-random draws of the running trials' values.
        limits: Constraints that are measured with the objectives; none unless given. Until a
            trial is feasible, candidates rank by the probability that they are.
    """

    @torch.no_grad()
    def __init__(
        self,
        objectives: Sequence[Objective],
        trials: Tensor,
        pending: Tensor,
        random: Tensor,
        seed: int,
        limits: Limits | None = None,
    ) -> None:
        self._objectives, self._pending = objectives, pending
        self._limits, self._seed = limits, seed
        values, expected = self._means(trials), self._means(random)
        self._front = values if limits is None else values[limits.feasible]
        self._reference = reference_point(values, expected)
        self._boxes = boxes(self._front, self._reference)

    def _means(self, x: Tensor) -> Tensor:
        """``n x d`` -> ``n x M``."""
        return torch.stack([o.belief(x).mean for o in self._objectives], dim=1)

    @torch.no_grad()
    def values(self, x: Tensor) -> Tensor:
        """Score ``n x d`` candidates, running trials left aside: ``n``."""
        if self._limits is not None and not self._limits.feasible.any():
            return self._limits.log_probability(x)
        beliefs = [objective.belief(x) for objective in self._objectives]
        return self._limited(expected_improvement(self._boxes, beliefs), x)

    def _limited(self, values: Tensor, x: Tensor) -> Tensor:
        """Weigh ``n`` values by the probability that the candidates are feasible."""
        return values if self._limits is None else values * self._limits.log_probability(x).exp()

    @torch.no_grad()
    def best(self, x: Tensor, allowed: np.ndarray) -> int:
        """Choose the candidate with the highest value, running trials being pending.

        If trials are running, the best without them are scored jointly with them. Ties go to the
        highest sum of the objectives' means, then to the first.

        Args:
            x: ``n x d`` candidates.
            allowed: ``m`` ascending positions, m >= 1.
        """
        rows = torch.from_numpy(allowed)
        values = self.values(x[rows])
        if len(self._pending) > 0:
            top = highest(values, _SHORTLIST)
            rows, values = rows[top], self._joint_values(x[rows[top]])
        ties = rows[values == values.max()]
        if len(ties) == 1:
            return int(ties[0])
        return int(ties[self._means(x[ties]).sum(dim=1).argmax()])

    def _joint_values(self, x: Tensor) -> Tensor:
        """Score ``n x d`` candidates given draws of the running trials' values: ``n``."""
        if self._limits is not None and not self._limits.feasible.any():
            return self._limits.log_probability(x)
        M, p = len(self._objectives), len(self._pending)
        uniform, normal = _draws(_N_DRAWS.get(M, _N_DRAWS_OF_MANY), M, p, self._seed)
        given = [
            objective.given(x, self._pending, uniform[:, j].contiguous(), normal[:, j])
            for j, objective in enumerate(self._objectives)
        ]
        drawn = torch.stack([values for values, _ in given], dim=-1)  # S x p x M
        total = torch.zeros(len(x)).to(drawn)
        for values, *beliefs in zip(drawn, *(beliefs for _, beliefs in given), strict=True):
            front = torch.cat([self._front, values])
            total += expected_improvement(boxes(front, self._reference), beliefs)
        return self._limited(total / len(drawn), x)


def reference_point(trials: Tensor, random: Tensor) -> Tensor:
    """Choose the point that the hypervolume counts from: below all trials and most architectures.

    Below the trials, not their front: where few of them are at the front's ends, its worst values
    would leave nothing to gain beyond them. Below most architectures, as the first trials may all
    be alike. Outliers are bounded already where values are scaled.

    Args:
        trials: ``n x M`` values, n >= 0.
        random: ``r x M`` values of random architectures, r >= 1.
    """
    known = torch.cat([trials, random.quantile(_LOW, dim=0, keepdim=True)])
    highest = torch.cat([trials, random]).max(dim=0).values
    worst = known.min(dim=0).values
    return worst - _MARGIN * (highest - worst)


def boxes(front: Tensor, reference: Tensor) -> Tensor:
    """Cut the region above a reference point that a front does not dominate into boxes.

    Their number explodes with that of objectives: of more than four, 16 points count.

    Args:
        front: ``n x M`` values, dominated ones too, n >= 0.
        reference: ``M``.

    Returns:
        ``2 x K x M``, lower and upper corners; some of the latter are infinite.
    """
    if len(reference) > _MAX_EXACT:
        ranks, distances = fronts(front.numpy())
        front = front[np.lexsort((-distances, -ranks))[:_N_OF_MANY].copy()]
    return FastNondominatedPartitioning(reference, front).get_hypercell_bounds()


def expected_improvement(boxes: Tensor, beliefs: Sequence[Belief]) -> Tensor:
    """Compute the expected hypervolume improvement of ``n`` candidates, see above: ``n``.

    Args:
        boxes: ``2 x K x M``.
        beliefs: Of each of M objectives, ``n`` mixtures.
    """
    size = max(1, _SIZE // boxes.shape[1])
    parts = zip(*(belief.split(size) for belief in beliefs), strict=True)
    return torch.cat([_improvement(boxes, part) for part in parts])


def _improvement(boxes: Tensor, beliefs: Sequence[Belief]) -> Tensor:
    volumes = torch.ones(())
    for j, belief in enumerate(beliefs):
        levels, (lower, upper) = boxes[..., j].unique(return_inverse=True)
        excess = belief.excess(levels)
        volumes = volumes * (excess[:, lower] - excess[:, upper]).clamp_min(0)
    return volumes.sum(dim=1)


def _draws(n: int, M: int, p: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw ``n x M`` uniform and ``n x M x p`` normal quasi-random numbers."""
    engine = torch.quasirandom.SobolEngine(M * (p + 1), scramble=True, seed=seed)
    drawn = engine.draw(n, dtype=torch.double).clamp(1e-9, 1 - 1e-9).view(n, M, p + 1)
    return drawn[..., 0], torch.special.ndtri(drawn[..., 1:])
