"""Message passing in a graph: four layers, the operation of each and what it reads.

Nodes of a random graph are classified, of which few have a label. Run it as
``python examples/graph_network.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import networkx as nx
import numpy as np
import optuna
import torch
from torch import nn
from torch import Tensor

from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import OneOf


N_CLASSES, N_PER_CLASS, N_LABELED = 4, 60, 5
N_FEATURES, WIDTH = 8, 16
OPS = ("gcn", "sage", "gin", "gat", "fc", "skip")
LAYERS = ("a", "b", "c", "d")

# As in NAS-Bench-Graph: a layer reads the input or an earlier layer; unread ones are the output.
SPACE = CellSpace(
    [Node(name, OPS, [OneOf("input", *LAYERS[:i])]) for i, name in enumerate(LAYERS)]
)


@cache
def load() -> tuple[Tensor, Tensor, Tensor]:
    """Draw a graph whose classes are its communities: ``n x n`` edges, ``n x F``, ``n`` classes.

    A node's features are its class's, with noise of twice their spread.
    """
    n, rng = N_CLASSES * N_PER_CLASS, np.random.default_rng(0)
    among = 0.03 + 0.07 * np.eye(N_CLASSES)
    graph = nx.stochastic_block_model(N_CLASSES * [N_PER_CLASS], among.tolist(), seed=0)
    classes = np.repeat(np.arange(N_CLASSES), N_PER_CLASS)
    means = rng.normal(size=(N_CLASSES, N_FEATURES))
    features = means[classes] + 2 * rng.normal(size=(n, N_FEATURES))
    edges = nx.to_numpy_array(graph)
    return torch.tensor(edges).float(), torch.tensor(features).float(), torch.tensor(classes)


class Layer(nn.Module):
    """One operation, on the edges of the graph."""

    def __init__(self, op: str) -> None:
        super().__init__()
        self.op = op
        self.own, self.neighbors = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.attention = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """``n x WIDTH`` -> ``n x WIDTH``; ``edges`` is ``n x n``."""
        if self.op == "skip":
            return x
        if self.op == "fc":
            return self.own(x).relu()
        loops = edges + torch.eye(len(edges))
        if self.op == "gcn":  # Kipf and Welling, ICLR 2017
            scale = loops.sum(dim=1).rsqrt()
            return (scale[:, None] * loops * scale @ self.neighbors(x)).relu()
        if self.op == "sage":  # Hamilton et al., NeurIPS 2017
            mean = edges @ x / edges.sum(dim=1, keepdim=True).clamp_min(1)
            return (self.own(x) + self.neighbors(mean)).relu()
        if self.op == "gin":  # Xu et al., ICLR 2019
            return self.own(self.neighbors(loops @ x).relu()).relu()
        x = self.neighbors(x)  # "gat", Velickovic et al., ICLR 2018
        reads, is_read = self.attention(x).T
        scores = nn.functional.leaky_relu(reads[:, None] + is_read, 0.2)
        return (scores.masked_fill(loops == 0, -torch.inf).softmax(dim=1) @ x).relu()


class Network(nn.Module):
    """The network of a trial's parameters."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.reads = [params.get(f"link_{name}", "input") for name in LAYERS]
        self.layers = nn.ModuleList(Layer(params[f"op_{name}"]) for name in LAYERS)
        self.first, self.last = nn.Linear(N_FEATURES, WIDTH), nn.Linear(WIDTH, N_CLASSES)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """``n x F`` -> ``n x classes`` logits."""
        states = {"input": self.first(x)}
        for name, source, layer in zip(LAYERS, self.reads, self.layers, strict=True):
            states[name] = layer(states[source], edges)
        unread = [states[name] for name in LAYERS if name not in self.reads]
        return self.last(torch.stack(unread).mean(dim=0))


def objective(trial: optuna.Trial) -> float:
    """Train on the labeled nodes and return the share of the others that is classified right."""
    torch.manual_seed(0)
    model = Network(SPACE.suggest(trial))
    edges, x, y = load()
    labeled = torch.arange(len(y)) % N_PER_CLASS < N_LABELED
    optimizer = torch.optim.Adam(model.parameters(), 0.01, weight_decay=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x, edges)[labeled], y[labeled]).backward()
        optimizer.step()
    with torch.no_grad():
        right = model(x, edges).argmax(dim=1) == y
    return float(right[~labeled].float().mean())


def main(n_trials: int = 20) -> optuna.Study:
    """Search without a past."""
    study = optuna.create_study(direction="maximize", sampler=TNASSampler(space=SPACE, seed=0))
    study.optimize(objective, n_trials=n_trials)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(best.value, best.params)
