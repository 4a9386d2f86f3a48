"""Named columns of a GP's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from itertools import accumulate
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Blocks:
    """Columns of a feature vector by what they hold.

    Attributes:
        latents: xi's output, divided by the lengthscale where a kernel of lengthscale 1 reads it.
        structure: Weisfeiler-Lehman counts, see ``optuna_tnas.encoders.structure``.
        predictions: The past studies' predictions, which add up to the prior mean; none without
            a past. Of several metrics those of one.
        owners: The parameter that each of the columns after these belongs to, where every
            parameter has a relevance of its own; none in a search among architectures alone.
        known: Features known before training, as normal scores; none unless they are given.
        metrics: The predictions of each metric; empty if the past studies are of one.
    """

    latents: slice
    structure: slice
    predictions: slice
    owners: tuple[int, ...] = ()
    known: slice = field(default_factory=lambda: slice(0, 0))
    metrics: tuple[slice, ...] = ()

    @classmethod
    def of_widths(
        cls,
        latents: int,
        structure: int = 0,
        predictions: int = 0,
        owners: Sequence[int] = (),
        known: int = 0,
    ) -> Blocks:
        """Lay the blocks side by side: of architectures, then the predictions, then the rest."""
        ends = np.cumsum([latents, structure, known, predictions]).tolist()
        first, second, third, fourth = (slice(a, b) for a, b in pairwise([0, *ends]))
        return cls(first, second, fourth, tuple(owners), third)

    def with_metrics(self, widths: Sequence[int]) -> Blocks:
        """Split the predictions into those of each metric, side by side."""
        if len(widths) < 2:
            return self
        ends = accumulate(widths, initial=self.predictions.start)
        metrics = tuple(slice(a, b) for a, b in pairwise(ends))
        return replace(self, metrics=metrics, predictions=metrics[0])

    def of_metric(self, metric: int) -> Blocks:
        """Take the predictions of the metric at this position."""
        return replace(self, predictions=self.metrics[metric]) if self.metrics else self

    def with_parameters(self, n_predictions: int, owners: Sequence[int]) -> Blocks:
        """Lay out these blocks of architectures, which have no past, beside all parameters'."""
        blocks = (self.latents, self.structure, self.known)
        latents, structure, known = (block.stop - block.start for block in blocks)
        return Blocks.of_widths(latents, structure, n_predictions, owners, known)

    @property
    def parameters(self) -> slice:
        """Numbers and one-hot choices of each parameter."""
        start = (self.metrics or (self.predictions,))[-1].stop
        return slice(start, start + len(self.owners))

    @property
    def has_known(self) -> bool:
        """Whether there are features known before training."""
        return bool(self.known.stop > self.known.start)

    @property
    def n_predictions(self) -> int:
        """How many columns predict from the past; 0 without one."""
        return int(self.predictions.stop - self.predictions.start)
