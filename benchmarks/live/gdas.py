"""GDAS (Dong and Yang, CVPR 2019): one drawn operation an edge, by Gumbel-max.

The gradient is the paper's straight-through one. (The authors' code also adds the operations that
were not drawn, as scalars of value 0, which changes the gradient.)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from benchmarks.live.oneshot import OneShot
from benchmarks.live.oneshot import Settings
from benchmarks.live.supernet import Cell
from benchmarks.live.supernet import N_OPS
from benchmarks.live.supernet import SharedNetwork
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


_FIRST_TAU, _LAST_TAU = 10.0, 0.1


class GDAS(OneShot):
    """Draws a path with every pass."""

    settings = Settings(alpha_rate=3e-4, weight_decay=5e-4, alpha_first=False, nesterov=True)

    def __init__(self, network: SharedNetwork) -> None:
        super().__init__(network)
        self.tau = _FIRST_TAU

    def start(self, progress: float) -> None:
        self.tau = _FIRST_TAU + progress * (_LAST_TAU - _FIRST_TAU)

    def weight_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            cell, _ = self.drawn()
        return self.network.path(x, cell)

    def alpha_logits(self, x: Tensor) -> Tensor:
        cell, gates = self.drawn()
        return self.network.path(x, cell, gates)

    def drawn(self) -> tuple[Cell, Tensor]:
        """Draw the operations of the edges, and their gates.

        Gates are 1; their gradient is that of ``softmax((log softmax(alpha) + g) / tau)``, with
        ``g`` of the Gumbel distribution, at the drawn operations: ``6``.
        """
        gumbel = -torch.empty_like(self.alpha).exponential_().log()
        p = ((self.alpha.log_softmax(dim=1) + gumbel) / self.tau).softmax(dim=1)
        drawn = p.argmax(dim=1)
        h = one_hot(drawn, N_OPS) - p.detach() + p
        gates = h.gather(1, drawn[:, None])[:, 0]
        return tuple(NASBENCH201_OPS[o] for o in drawn.tolist()), gates
