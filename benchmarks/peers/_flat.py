"""Ablations of psi: the choices as they are, without a graph."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch import Tensor

from benchmarks.peers._one_hot import one_hot
from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP


class FlatSurrogate(MetaSurrogate):
    """TNAS as published, but psi reads one-hot choices instead of a graph.

    Two architectures with the same pruned graph are two different ones to it.

    Args:
        space: The search space.
        hidden: Width of psi's two hidden layers; 0: psi is the one-hot choices themselves.
        n_features: Width of a data set's points.
        seed: Seed of the initial weights.
    """

    def __init__(self, space: Space, hidden: int, n_features: int, seed: int) -> None:
        config = Config.preset("paper")
        if hidden == 0:
            config = replace(config, architecture_dim=int(space.n_choices.sum()))
        space = FlatSpace.of(space)
        super().__init__(space, config, n_features=n_features, seed=seed)
        self.network = FlatNetwork(space, config, hidden, n_features, seed)
        self.network.requires_grad_(False).eval()


class FlatNetwork(DeepKernelGP):
    """The paper's model with a network on one-hot choices for psi."""

    def __init__(
        self, space: Space, config: Config, hidden: int, n_features: int, seed: int
    ) -> None:
        self._hidden = hidden
        super().__init__(space, config, n_features, seed)

    def _build(self, n_features: int) -> None:
        super()._build(n_features)
        n_inputs, hidden = int(self.space.n_choices.sum()), self._hidden
        psi: nn.Module = nn.Identity()
        if hidden > 0:
            psi = nn.Sequential(
                nn.Linear(n_inputs, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, self.config.architecture_dim),
            )
        self.architecture_encoder = psi  # type: ignore[assignment]

    def encode_architectures(self, X: np.ndarray) -> Tensor:
        """Encode ``n x P`` architectures by psi: ``n x L``."""
        choices = torch.from_numpy(one_hot(self.space, X)).float().to(self.device)
        encoded: Tensor = self.architecture_encoder(choices)
        return encoded


@dataclass(frozen=True)
class FlatSpace(DeclaredSpace):
    """A space whose architectures are all different, also those of the same pruned graph."""

    @classmethod
    def of(cls, space: Space) -> FlatSpace:
        """Copy a space."""
        return cls(**{f.name: getattr(space, f.name) for f in fields(space) if f.init})

    def to_graphs(self, X: np.ndarray) -> GraphBatch:
        """Each row's graph, whose class is the row's own."""
        graphs = super().to_graphs(X)
        values = {f.name: getattr(graphs, f.name) for f in fields(graphs) if f.init}
        return _Distinct(**values, rows=X)


@dataclass(frozen=True)
class _Distinct(GraphBatch):
    rows: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def pruned(self) -> GraphBatch:
        """Not pruned."""
        return self

    def classes(self) -> tuple[GraphBatch, np.ndarray]:
        """Every distinct row is a class of its own."""
        return self, np.unique(self.rows, axis=0, return_inverse=True)[1].ravel()
