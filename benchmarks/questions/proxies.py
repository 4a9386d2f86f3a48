"""Do the zero-cost proxies agree with the published ones?

    python -m benchmarks.questions.proxies --cells 300

Spearman coefficients between what ``optuna_tnas.features.Proxies`` says of random NAS-Bench-201
cells in the original network, on a minibatch of CIFAR-10, and the figures of the same cells in
NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022). The network may be made smaller.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import time
from typing import Any

import numpy as np
from scipy.stats import spearmanr
import torch
from torch import nn
from torch import Tensor
from tqdm import tqdm

from benchmarks.build.load_images import load_images
from benchmarks.common.markdown import table
from benchmarks.tasks import reading
from optuna_tnas.features import PROXIES
from optuna_tnas.features import Proxies
from optuna_tnas.spaces import NASBench201Space


PUBLISHED = {"parameters": "c10_params", "macs": "c10_flops"}  # others have the proxy's name
_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_MEAN, _DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Skeleton(nn.Sequential):
    """The network of Dong and Yang, "NAS-Bench-201" (ICLR 2020), dead operations included.

    Args:
        ops: Of the edges 0-1, 0-2, 1-2, 0-3, 1-3 and 2-3.
        width: Channels of the first of three stages.
        cells_per_stage: Cells in each.
        n_classes: Number of logits.
    """

    def __init__(
        self, ops: Sequence[str], width: int = 16, cells_per_stage: int = 5, n_classes: int = 10
    ) -> None:
        layers: list[nn.Module] = [_convolution(3, width, 3), nn.BatchNorm2d(width)]
        for stage in range(3):
            if stage:
                layers.append(_Reduction(width))
                width *= 2
            layers += [_Cell(ops, width) for _ in range(cells_per_stage)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, nn.Linear(width, n_classes))
        self.apply(_initialize)


def _initialize(layer: nn.Module) -> None:
    """Draw weights as NAS-Bench-201's code does."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight)


def _convolution(n_in: int, n_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2, bias=False)


def _unit(n_in: int, n_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(), _convolution(n_in, n_out, kernel, stride), nn.BatchNorm2d(n_out)
    )


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


class _Reduction(nn.Module):
    """A residual block that halves the resolution and doubles the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _unit(width, 2 * width, 3, stride=2)
        self.second = _unit(2 * width, 2 * width, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), _convolution(width, 2 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


class _Cell(nn.Module):
    """Four nodes, each the sum of the operations that lead to it."""

    def __init__(self, ops: Sequence[str], width: int) -> None:
        super().__init__()
        self.ops = nn.ModuleList(_operation(op, width) for op in ops)

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in range(1, 4):
            terms = [
                op(nodes[i]) for (i, j), op in zip(_EDGES, self.ops, strict=True) if j == target
            ]
            nodes.append(torch.stack(terms).sum(dim=0))
        return nodes[-1]


def _operation(op: str, width: int) -> nn.Module:
    return {
        "none": _Zero,
        "skip_connect": nn.Identity,
        "nor_conv_1x1": lambda: _unit(width, width, 1),
        "nor_conv_3x3": lambda: _unit(width, width, 3),
        "avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
    }[op]()


def minibatch(n: int, resolution: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw CIFAR-10 images, normalized and pooled to a resolution, and their classes."""
    data = load_images("cifar10")
    images, labels = data.images, data.labels
    rows = np.random.default_rng(seed).permutation(len(labels))[:n]
    x = torch.from_numpy(images[rows]).float().permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_DEVIATION)[:, None, None]
    x = nn.functional.adaptive_avg_pool2d(x, resolution)
    return x, torch.from_numpy(labels[rows]).long()


def compare(
    n_cells: int, x: Tensor, y: Tensor, seed: int = 0, **network: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Compute the proxies of random cells.

    Returns:
        Ours and the published ones by name, ``n`` each, and seconds for one cell.
    """
    published = reading.table("nasbench201_zerocost_c10").sample(n_cells, random_state=seed)
    ops = reading.table("nasbench201")["ops"].to_numpy()[published["index"]]
    space = NASBench201Space()
    proxies = Proxies(lambda params: Skeleton(list(params.values()), **network), x, y)
    began = time.perf_counter()
    rows = tqdm(reading.digits(ops), unit="cell", leave=False)
    found = [proxies(space.decode(row)) for row in rows]
    seconds = (time.perf_counter() - began) / n_cells
    ours = {name: np.array([f[name] for f in found]) for name in PROXIES}
    theirs = {name: published[PUBLISHED.get(name, f"c10_{name}")].to_numpy() for name in PROXIES}
    return ours, theirs, seconds


def correlations(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, float, int]]:
    """Yield each proxy's Spearman coefficient, and how many cells have a value."""
    for name, values in ours.items():
        known = np.isfinite(values) & np.isfinite(theirs[name])
        yield name, float(spearmanr(values[known], theirs[name][known])[0]), int(known.sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--cells-per-stage", type=int, default=5)
    a = parser.parse_args()
    x, y = minibatch(a.batch, a.resolution, seed=0)
    size = {"width": a.width, "cells_per_stage": a.cells_per_stage}
    ours, theirs, seconds = compare(a.cells, x, y, **size)
    rows = ([name, f"{rho:.3f}", str(n)] for name, rho, n in correlations(ours, theirs))
    for line in table(["proxy", "Spearman coefficient", "cells with a value"], rows):
        print(line)
    print(f"\n{seconds:.2f} seconds a cell")


if __name__ == "__main__":
    main()
