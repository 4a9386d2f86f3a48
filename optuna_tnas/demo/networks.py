"""Trainable networks of NAS-Bench-201 cells (Dong and Yang, ICLR 2020), small enough for a CPU.

They differ from the original in two points. The stages are joined by average pooling and a 1x1
convolution, not by residual blocks: in narrow networks those blocks learn so much that the cell
hardly matters. And the cells' batch normalizations have no offset, so an operation that reads
zeros outputs zeros and the cell computes exactly what its pruned graph says.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


# (source, target) node of op_0_1, op_0_2, op_1_2, op_0_3, op_1_3, op_2_3.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_N_NODES = 4
_N_STAGES = 3


class NASBench201Network(nn.Module):
    """A stem, three stages of equal cells that double the width, and a linear classifier.

    Args:
        ops: The operation names of ``op_0_1, op_0_2, op_1_2, op_0_3, op_1_3, op_2_3``.
        n_channels: Channels of the images.
        n_classes: Number of logits.
        width: Channels of the first stage.
        cells_per_stage: Cells in each stage.

    Raises:
        SpaceError: If ``ops`` are not six operations of NAS-Bench-201.
    """

    def __init__(
        self,
        ops: Sequence[str],
        n_channels: int,
        n_classes: int,
        *,
        width: int = 8,
        cells_per_stage: int = 1,
    ) -> None:
        super().__init__()
        _check(ops)
        layers: list[nn.Module] = [
            nn.Conv2d(n_channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        ]
        for stage in range(_N_STAGES):
            if stage:
                layers.append(_transition(width, 2 * width))
                width *= 2
            layers += [NASBench201Cell(ops, width) for _ in range(cells_per_stage)]
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Linear(width, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``B x C x H x W`` images -> ``B x n_classes`` logits."""
        features: torch.Tensor = self.features(images)
        logits: torch.Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class NASBench201Cell(nn.Module):
    """Four nodes, each the sum of the operations that lead to it; the shape is kept.

    Only operations on a path from the first to the last node are built: the others read zeros
    or are read by nobody.
    """

    def __init__(self, ops: Sequence[str], width: int) -> None:
        super().__init__()
        self.edges = live_edges(ops)
        self.ops = nn.ModuleList(_operation(ops[EDGES.index(e)], width) for e in self.edges)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``B x width x H x W`` -> the same shape; zeros if no path leads to the last node."""
        nodes: list[torch.Tensor | None] = [x, *[None] * (_N_NODES - 1)]
        for (source, target), op in zip(self.edges, self.ops, strict=True):
            term = op(nodes[source])
            total = nodes[target]
            nodes[target] = term if total is None else total + term
        output = nodes[-1]
        return torch.zeros_like(x) if output is None else output


def live_edges(ops: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """List the edges on a path of operations other than ``none`` from first to last node."""
    edges = [e for e, op in zip(EDGES, ops, strict=True) if op != "none"]
    # EDGES is sorted by target, so one pass in either direction finds all that is connected.
    from_input, to_output = {0}, {_N_NODES - 1}
    for source, target in edges:
        if source in from_input:
            from_input.add(target)
    for source, target in reversed(edges):
        if target in to_output:
            to_output.add(source)
    return tuple((s, t) for s, t in edges if s in from_input and t in to_output)


def _operation(op: str, width: int) -> nn.Module:
    if op == "skip_connect":
        return nn.Identity()
    if op == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[op]
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width, affine=False),
    )


def _transition(width: int, new_width: int) -> nn.Module:
    # Normalized, because sums of skip connections grow by up to four times a cell.
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(width, new_width, 1, bias=False),
        nn.BatchNorm2d(new_width),
    )


def _check(ops: Sequence[str]) -> None:
    if len(ops) != len(EDGES) or any(op not in NASBENCH201_OPS for op in ops):
        raise SpaceError(
            f"A NAS-Bench-201 cell takes {len(EDGES)} of the operations {NASBENCH201_OPS}, "
            f"not {tuple(ops)}."
        )
