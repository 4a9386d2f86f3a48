"""PC-DARTS (Xu et al., ICLR 2020): a mixture that reads a quarter of the channels.

As published but for one point in its favor: alpha learns from the first epoch on, where the
authors have it wait for a third of the search.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.live.oneshot import OneShot
from benchmarks.live.oneshot import Settings
from benchmarks.live.supernet import N_EDGES
from benchmarks.live.supernet import SharedNetwork
from optuna_tnas.demo.networks import EDGES


class PCDARTS(OneShot):
    """Mixes by the softmax of alpha over operations and of beta over the edges into a node.

    Attributes:
        beta: Of each edge, ``6``; as all edges stay, it decides nothing in the end.
    """

    settings = Settings(
        alpha_rate=6e-4, weight_decay=3e-4, alpha_first=True, nesterov=False, partial=4
    )

    def __init__(self, network: SharedNetwork) -> None:
        super().__init__(network)
        self.beta = (0.001 * torch.randn(N_EDGES)).requires_grad_()

    @property
    def architecture(self) -> list[Tensor]:
        return [self.alpha, self.beta]

    def weight_logits(self, x: Tensor) -> Tensor:
        return self._logits(x, self.alpha.detach(), self.beta.detach())

    def alpha_logits(self, x: Tensor) -> Tensor:
        return self._logits(x, self.alpha, self.beta)

    def _logits(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return self.network.mixture(x, alpha.softmax(dim=1), shares(beta))


def shares(beta: Tensor) -> Tensor:
    """Softmax over the edges into the same node: ``6`` -> ``6``."""
    targets = [target for _, target in EDGES]
    return torch.cat(
        [beta[[t == node for t in targets]].softmax(dim=0) for node in sorted(set(targets))]
    )
