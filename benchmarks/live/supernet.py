"""All cells of NAS-Bench-201 in one network, with shared weights.

Normalizations always use the batch's own statistics: running ones of ever-changing cells are
worthless. In all else a path is :class:`~optuna_tnas.demo.networks.NASBench201Network`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
from torch import nn
from torch import Tensor
from torch.nn.functional import avg_pool2d

from optuna_tnas.demo.networks import EDGES
from optuna_tnas.demo.networks import live_edges
from optuna_tnas.demo.networks import NASBench201Cell
from optuna_tnas.demo.networks import NASBench201Network
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


N_EDGES, N_OPS = len(EDGES), len(NASBENCH201_OPS)
_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
_NONE = NASBENCH201_OPS.index("none")

Cell = tuple[str, ...]  # the operations of the edges


class SharedCell(nn.Module):
    """Every operation on every edge.

    Args:
        width: Channels.
        partial: The operations read one of so many parts of the channels (PC-DARTS's K).
    """

    def __init__(self, width: int, partial: int = 1) -> None:
        super().__init__()
        self.partial = partial
        self.convolutions = nn.ModuleList(
            nn.ModuleDict({op: _convolution(width // partial, k) for op, k in _KERNELS.items()})
            for _ in EDGES
        )

    def path(self, x: Tensor, cell: Sequence[str], gates: Tensor | None = None) -> Tensor:
        """Compute one cell, pruned: ``B x width x H x W`` -> the same.

        Args:
            x: The images' features.
            cell: The operation of each edge.
            gates: A factor for each edge's term, or 1.
        """
        nodes = _Nodes(x)
        for edge in live_edges(cell):
            i = EDGES.index(edge)
            term = self._operation(i, cell[i], nodes.read(edge[0]))
            nodes.add(edge[1], term if gates is None else gates[i] * term)
        return nodes.output

    def mixture(self, x: Tensor, weights: Tensor, edges: Tensor | None = None) -> Tensor:
        """Weight all operations on all edges: ``B x width x H x W`` -> the same.

        Args:
            x: The images' features.
            weights: Of the operations on each edge, ``6 x 5``; the one of ``none`` adds nothing.
            edges: A factor for each edge, or 1.
        """
        nodes = _Nodes(x, self.partial)
        for i, (source, target) in enumerate(EDGES):
            read = nodes.read(source)
            terms = [
                weights[i, o] * self._operation(i, op, read)
                for o, op in enumerate(NASBENCH201_OPS)
                if o != _NONE
            ]
            term = read.completed(reduce(add, terms))
            nodes.add(target, term if edges is None else edges[i] * term)
        return nodes.output

    def _operation(self, edge: int, op: str, read: _Node) -> Tensor:
        if op == "skip_connect":
            return read.part
        if op == "avg_pool_3x3":
            return read.pooled
        result: Tensor = self.convolutions[edge][op](read.positive)  # type: ignore[index]
        return result


class _Node:
    """A node's value, and what several operations make of it, each made once.

    Args:
        value: ``B x C x H x W``.
        partial: Of so many parts of the channels the operations read the first.
    """

    def __init__(self, value: Tensor, partial: int) -> None:
        self.part, self._rest = value, None
        self._partial = partial
        if partial > 1:
            n = value.shape[1] // partial
            self.part, self._rest = value[:, :n], value[:, n:]
        self._pooled: Tensor | None = None
        self._positive: Tensor | None = None

    @property
    def pooled(self) -> Tensor:
        if self._pooled is None:
            self._pooled = avg_pool2d(self.part, 3, stride=1, padding=1, count_include_pad=False)
        return self._pooled

    @property
    def positive(self) -> Tensor:
        if self._positive is None:
            self._positive = torch.relu(self.part)
        return self._positive

    def completed(self, mixed: Tensor) -> Tensor:
        """Put the channels that no operation read beside a mixture, and shuffle all."""
        if self._rest is None:
            return mixed
        whole = torch.cat([mixed, self._rest], dim=1)
        return shuffled(whole, self._partial)


class _Nodes:
    """The nodes of a cell, sums of the terms that lead to them."""

    def __init__(self, x: Tensor, partial: int = 1) -> None:
        self._zeros = x
        self._partial = partial
        self._sums: dict[int, Tensor] = {0: x}
        self._read: dict[int, _Node] = {}

    def add(self, node: int, term: Tensor) -> None:
        self._sums[node] = self._sums[node] + term if node in self._sums else term

    def read(self, node: int) -> _Node:
        if node not in self._read:
            self._read[node] = _Node(self._sums[node], self._partial)
        return self._read[node]

    @property
    def output(self) -> Tensor:
        """The last node; zeros if nothing leads there."""
        last = EDGES[-1][1]
        return self._sums[last] if last in self._sums else torch.zeros_like(self._zeros)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Shuffle channels: view ``C`` as ``groups x C / groups``, transpose, flatten."""
    B, C, H, W = x.shape
    return x.reshape(B, groups, C // groups, H, W).transpose(1, 2).reshape(B, C, H, W)


def _convolution(width: int, kernel: int) -> nn.Module:
    """A convolution of what is positive already."""
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width, affine=False),
    )


Rule = Callable[[SharedCell, Tensor], Tensor]


class SharedNetwork(nn.Module):
    """The package's network with shared cells.

    Args:
        n_channels: Of the images.
        n_classes: Number of logits.
        width: Channels of the first stage.
        partial: As for :class:`SharedCell`.
    """

    def __init__(self, n_channels: int, n_classes: int, width: int, partial: int = 1) -> None:
        super().__init__()
        network = NASBench201Network(N_EDGES * ("none",), n_channels, n_classes, width=width)
        layers: list[nn.Module] = []
        for layer in network.features:
            if isinstance(layer, NASBench201Cell):
                layer = SharedCell(width, partial)
                width *= 2
            layers.append(layer)
        self.layers, self.classifier = nn.ModuleList(layers), network.classifier
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = None

    def forward(self, images: Tensor, rule: Rule) -> Tensor:
        """``B x C x R x R`` images, and what each cell computes -> ``B x n_classes`` logits."""
        x = images
        for layer in self.layers:
            x = rule(layer, x) if isinstance(layer, SharedCell) else layer(x)
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits

    def path(self, images: Tensor, cell: Sequence[str], gates: Tensor | None = None) -> Tensor:
        """Compute the logits of one cell; see :meth:`SharedCell.path`."""
        logits: Tensor = self(images, lambda shared, x: shared.path(x, cell, gates))
        return logits

    def mixture(self, images: Tensor, weights: Tensor, edges: Tensor | None = None) -> Tensor:
        """Compute the logits of all cells mixed; see :meth:`SharedCell.mixture`."""
        logits: Tensor = self(images, lambda shared, x: shared.mixture(x, weights, edges))
        return logits
