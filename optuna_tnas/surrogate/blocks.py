"""Named columns of a GP's inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Blocks:
    """Columns of a feature vector by what they hold.

    Attributes:
        latents: xi's output, divided by the lengthscale where a kernel of lengthscale 1 reads it.
        structure: Weisfeiler-Lehman counts, see ``optuna_tnas.encoders.structure``.
        prior_mean: The past studies' prediction, one column; none without a past.
    """

    latents: slice
    structure: slice
    prior_mean: slice

    @classmethod
    def of_widths(cls, latents: int, structure: int = 0, prior_mean: int = 0) -> Blocks:
        """Lay the blocks side by side in this order."""
        ends = np.cumsum([latents, structure, prior_mean]).tolist()
        return cls(slice(0, ends[0]), slice(ends[0], ends[1]), slice(ends[1], ends[2]))

    @property
    def has_past(self) -> bool:
        """Whether past studies predict."""
        return bool(self.prior_mean.stop > self.prior_mean.start)
