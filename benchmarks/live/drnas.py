"""DrNAS (Chen et al., ICLR 2021): a mixture by weights drawn from Dirichlet distributions.

Without its progressive variant, which was not used for the published figure. Adam's weight decay
pulls the concentrations to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Dirichlet
from torch.nn.functional import elu

from benchmarks.live.oneshot import OneShot
from benchmarks.live.oneshot import Settings


class DrNAS(OneShot):
    """Draws the weights of the operations of each edge anew with every pass."""

    settings = Settings(alpha_rate=3e-4, weight_decay=3e-4, alpha_first=True, nesterov=False)

    @property
    def weights(self) -> Dirichlet:
        """The distribution of the weights, ``6 x 5``; its mean's order is alpha's."""
        return Dirichlet(elu(self.alpha) + 1)

    def weight_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            drawn = self.weights.sample()
        return self.network.mixture(x, drawn)

    def alpha_logits(self, x: Tensor) -> Tensor:
        return self.network.mixture(x, self.weights.rsample())
