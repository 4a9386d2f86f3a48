"""Named columns of a GP's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Blocks:
    """Columns of a feature vector by what they hold.

    Attributes:
        latents: xi's output, divided by the lengthscale where a kernel of lengthscale 1 reads it.
        structure: Weisfeiler-Lehman counts, see ``optuna_tnas.encoders.structure``.
        predictions: The past studies' predictions, which add up to the prior mean; none without
            a past.
        owners: The parameter that each of the columns after these belongs to, where every
            parameter has a relevance of its own; none in a search among architectures alone.
    """

    latents: slice
    structure: slice
    predictions: slice
    owners: tuple[int, ...] = ()

    @classmethod
    def of_widths(
        cls, latents: int, structure: int = 0, predictions: int = 0, owners: Sequence[int] = ()
    ) -> Blocks:
        """Lay the blocks side by side in this order."""
        ends = np.cumsum([latents, structure, predictions]).tolist()
        first, second, third = (slice(a, b) for a, b in pairwise([0, *ends]))
        return cls(first, second, third, tuple(owners))

    @property
    def parameters(self) -> slice:
        """Numbers and one-hot choices of each parameter."""
        return slice(self.predictions.stop, self.predictions.stop + len(self.owners))

    @property
    def n_predictions(self) -> int:
        """How many columns predict from the past; 0 without one."""
        return int(self.predictions.stop - self.predictions.start)
