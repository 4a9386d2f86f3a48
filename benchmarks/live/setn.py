"""SETN (Dong and Yang, ICCV 2019): uniform paths, then the best of the most probable cells."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.live.oneshot import OneShot
from benchmarks.live.oneshot import Settings
from benchmarks.live.parts import Part
from benchmarks.live.supernet import Cell
from benchmarks.live.supernet import N_EDGES
from benchmarks.live.supernet import N_OPS
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


_N_CANDIDATES = 100
_N_IMAGES = 512


class SETN(OneShot):
    """Weights learn on uniformly drawn paths, alpha on the mixture by its softmax."""

    settings = Settings(
        alpha_rate=3e-4, weight_decay=5e-4, alpha_first=False, nesterov=True, clip=None
    )

    def weight_logits(self, x: Tensor) -> Tensor:
        drawn = torch.randint(N_OPS, (N_EDGES,)).tolist()
        return self.network.path(x, tuple(NASBENCH201_OPS[o] for o in drawn))

    def alpha_logits(self, x: Tensor) -> Tensor:
        return self.network.mixture(x, self.alpha.softmax(dim=1))

    def derive(self, validation: Part, ops: Collection[str]) -> Cell:
        """Take the candidate with the most right answers by the shared weights.

        All see the same validation images; the lower loss decides between equals.
        """
        images = torch.randperm(len(validation.x))[:_N_IMAGES]
        x, y = validation.x[images], validation.y[images]
        return max(self.candidates(ops), key=lambda cell: self._score(cell, x, y))

    def candidates(self, ops: Collection[str]) -> list[Cell]:
        """List the cells of the largest ``sum_e log softmax(alpha_e)``, of some operations."""
        allowed = [o for o, op in enumerate(NASBENCH201_OPS) if op in ops]
        cells = torch.tensor([*product(allowed, repeat=N_EDGES)])
        log_p = self.alpha.detach().log_softmax(dim=1)
        scores = log_p.gather(1, cells.T).sum(dim=0)
        best = scores.argsort(descending=True, stable=True)[:_N_CANDIDATES]
        return [tuple(NASBENCH201_OPS[o] for o in row) for row in cells[best].tolist()]

    @torch.no_grad()
    def _score(self, cell: Cell, x: Tensor, y: Tensor) -> tuple[int, float]:
        logits = self.network.path(x, cell)
        return int((logits.argmax(dim=1) == y).sum()), -float(cross_entropy(logits, y))
