"""What is believed of each of several objectives: by GPs, or known without training.

Objectives are independent given the trials, and each is a mixture of normal distributions; one
that is known has no variance.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.search import Search
from optuna_tnas.studies.observations import Metric
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.outcomes import scaled_as


_LEAST_VARIANCE = 1e-18  # in place of none: what follows is exact to a billionth


@dataclass(frozen=True)
class Belief:
    """Mixtures of normal distributions, one for each of ``n`` candidates.

    Attributes:
        probabilities: ``G``, of the parts.
        means: ``G x n``.
        variances: ``G x n``.
    """

    probabilities: Tensor
    means: Tensor
    variances: Tensor

    @property
    def mean(self) -> Tensor:
        """Means of the mixtures: ``n``."""
        return self.probabilities @ self.means

    @property
    def variance(self) -> Tensor:
        """Variances of the mixtures: ``n``."""
        between = (self.means - self.mean).square()
        return self.probabilities @ (self.variances + between)

    def excess(self, levels: Tensor) -> Tensor:
        """Expected excess ``E[max(f - t, 0)]`` over ``T`` levels, infinite ones too: ``n x T``."""
        deviation = self.variances.clamp_min(_LEAST_VARIANCE).sqrt().unsqueeze(-1)
        z = (self.means.unsqueeze(-1) - levels) / deviation
        density = torch.exp(-0.5 * z.square()) / (2 * torch.pi) ** 0.5
        excess = deviation * (density + z * torch.special.ndtr(z))
        mean = torch.tensordot(self.probabilities, excess, dims=1)
        return mean.where(levels < torch.inf, 0.0)

    def split(self, n: int) -> list[Belief]:
        """Split the candidates into parts of up to ``n``."""
        parts = zip(self.means.split(n, dim=1), self.variances.split(n, dim=1), strict=True)
        return [Belief(self.probabilities, *part) for part in parts]


class Objective(Protocol):
    """What is believed of one objective, scaled, higher is better."""

    def belief(self, x: Tensor) -> Belief:
        """Believe of ``n x d`` inputs alone."""

    def given(
        self, x: Tensor, pending: Tensor, uniform: Tensor, normal: Tensor
    ) -> tuple[Tensor, Sequence[Belief]]:
        """Draw the values of pending inputs, and believe of others what follows from them.

        Args:
            x: ``n x d``.
            pending: ``p x d``.
            uniform: ``S`` draws between 0 and 1.
            normal: ``S x p`` draws of mean 0 and variance 1.

        Returns:
            ``S x p`` values, and what each of the S draws lets believe of ``x``.
        """


class KnownObjective:
    """An objective that is known.

    Args:
        values: ``n x d`` inputs -> ``n``.
    """

    def __init__(self, values: Callable[[Tensor], Tensor]) -> None:
        self._values = values

    def belief(self, x: Tensor) -> Belief:
        """See :class:`Objective`."""
        values = self._values(x).unsqueeze(0)
        return Belief(torch.ones(1).to(values), values, torch.zeros_like(values))

    def given(
        self, x: Tensor, pending: Tensor, uniform: Tensor, normal: Tensor
    ) -> tuple[Tensor, Sequence[Belief]]:
        """See :class:`Objective`."""
        known = self.belief(x)
        return self._values(pending).expand(len(uniform), -1), len(uniform) * [known]


class ModeledObjective:
    """An objective that GPs on the study's trials model.

    Args:
        mixture: The GPs.
    """

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture

    def belief(self, x: Tensor) -> Belief:
        """See :class:`Objective`."""
        posteriors = [gp.posterior(x.unsqueeze(-2)) for gp in self._mixture.gps]
        means = torch.stack([p.mean.flatten() for p in posteriors])
        variances = torch.stack([p.variance.flatten() for p in posteriors])
        return Belief(self._mixture.probabilities, means, variances)

    def given(
        self, x: Tensor, pending: Tensor, uniform: Tensor, normal: Tensor
    ) -> tuple[Tensor, Sequence[Belief]]:
        """See :class:`Objective`: each draw is from one of the GPs, drawn itself."""
        bounds = self._mixture.probabilities.cumsum(0)[:-1]
        chosen = torch.bucketize(uniform, bounds).tolist()
        drawn, beliefs = torch.empty_like(normal), dict[int, Belief]()
        for g, gp in enumerate(self._mixture.gps):
            draws = [s for s, of in enumerate(chosen) if of == g]
            if draws:
                drawn[draws], means, variance = gp.given(pending, x, normal[draws])
                certain = torch.ones(1).to(means)
                parts = [Belief(certain, mean[None], variance[None]) for mean in means]
                beliefs.update(zip(draws, parts, strict=True))
        return drawn, [beliefs[s] for s in range(len(chosen))]


def fit_objectives(
    search: Search, study: Observations, kept: np.ndarray, past: Sequence[int | None]
) -> list[Objective]:
    """Fit a study's objectives, but for those that are cheap.

    Args:
        search: Fits the GPs.
        study: The study's trials, with several objectives.
        kept: Positions of the trials that the GPs are conditioned on.
        past: Position of the metric whose past helps each objective; None where none does.
    """
    objectives: list[Objective] = []
    for j, (metric, helping) in enumerate(zip(study.metrics, past, strict=True)):
        if metric.name in search.cheap_names:
            objectives.append(cheap_objective(search, metric))
            continue
        y = torch.from_numpy(scale_labels(study.y[:, j])[kept])
        objectives.append(ModeledObjective(search.fit(study.X[kept], y, helping)))
    return objectives


def cheap_objective(search: Search, metric: Metric) -> KnownObjective:
    """Scale a cheap objective by its values for random architectures."""
    assert metric.name is not None
    name, reference = metric.name, metric.sign * search.cheap_sample(metric.name)

    def values(x: Tensor) -> Tensor:
        return torch.from_numpy(scaled_as(reference, metric.sign * search.cheap(name, x).numpy()))

    return KnownObjective(values)
