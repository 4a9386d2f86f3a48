"""The space of DARTS: a normal and a reduction cell, 10^18 networks.

Run it as ``python -m examples.darts_cell``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
import torch
from torch import nn
from torch import Tensor

from examples import digits
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import SomeOf


OPS = ("skip", "max_pool", "avg_pool", "sep_conv3", "sep_conv5", "dil_conv3", "dil_conv5")
KINDS = ("normal", "reduction")
N_NODES = 4
WIDTH = 8


def make_space() -> CellSpace:
    """Declare four nodes in each cell that add up two earlier ones, each through an operation."""
    nodes, output = [], []
    for kind in KINDS:
        sources = [f"{kind}_previous", f"{kind}_before"]
        nodes += [Node(name, [name]) for name in sources]
        for i in range(N_NODES):
            nodes.append(Node(f"{kind}_{i}", ["sum"], [SomeOf(2, *sources, ops=OPS)]))
            sources.append(f"{kind}_{i}")
        output += sources[2:]
    return CellSpace(nodes, output=output)


SPACE = make_space()


def normalization() -> nn.Module:
    """Normalize by the batch, in so short a training also when it has ended."""
    return nn.BatchNorm2d(WIDTH, track_running_stats=False)


def operation(name: str, stride: int) -> nn.Module:
    """Make one of the operations; a stride of 2 halves the image."""
    if name == "skip":
        return nn.AvgPool2d(1, stride)
    if name == "max_pool":
        return nn.MaxPool2d(3, stride, padding=1)
    if name == "avg_pool":
        return nn.AvgPool2d(3, stride, padding=1)
    kernel, dilation = int(name[-1]), 2 if name.startswith("dil") else 1
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, kernel, stride, padding, dilation, groups=WIDTH, bias=False),
        nn.Conv2d(WIDTH, WIDTH, 1, bias=False),
        normalization(),
    )


class Cell(nn.Module):
    """One cell of a trial's parameters."""

    def __init__(self, params: Mapping[str, Any], kind: str) -> None:
        super().__init__()
        names = [f"{kind}_previous", f"{kind}_before", *(f"{kind}_{i}" for i in range(N_NODES))]
        links = [params[f"link_{kind}_{i}"].split(",") for i in range(N_NODES)]
        self.sources = [[names.index(name) for name in link] for link in links]
        self.edges = nn.ModuleList(
            operation(
                params[f"op_{kind}_{i}_{k + 1}"],
                stride=2 if kind == "reduction" and source < 2 else 1,
            )
            for i, sources in enumerate(self.sources)
            for k, source in enumerate(sources)
        )
        self.mix = nn.Sequential(nn.Conv2d(N_NODES * WIDTH, WIDTH, 1, bias=False), normalization())

    def forward(self, previous: Tensor, before: Tensor) -> Tensor:
        """``n x WIDTH x h x h`` of the last cell and of the one before it."""
        states, edges = [previous, before], iter(self.edges)
        for sources in self.sources:
            states.append(sum(next(edges)(states[source]) for source in sources))
        return self.mix(torch.cat(states[2:], dim=1))


class Network(nn.Module):
    """A stem, a normal and a reduction cell, and a linear classifier."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, WIDTH, 3, padding=1, bias=False), normalization())
        self.normal, self.reduction = (Cell(params, kind) for kind in KINDS)
        self.classify = nn.Linear(WIDTH, digits.N_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """``n x 8 x 8`` -> ``n x classes`` logits."""
        x = self.stem(images.unsqueeze(1))
        return self.classify(self.reduction(self.normal(x, x), x).mean(dim=(2, 3)))


def objective(trial: optuna.Trial) -> float:
    """Train a trial's network and return its validation loss."""
    torch.manual_seed(0)
    return digits.validation_loss(Network(SPACE.suggest(trial)), epochs=5, rate=2e-2)


def main(n_trials: int = 30) -> optuna.Study:
    """Search without a past."""
    study = optuna.create_study(sampler=TNASSampler(space=SPACE, seed=0))
    study.optimize(objective, n_trials=n_trials)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(best.value, best.params)
