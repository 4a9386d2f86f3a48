"""Ablations of psi: the choices as they are, without a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch import Tensor

from benchmarks.peers._one_hot import one_hot
from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas.spaces import Space


class FlatSurrogate(MetaSurrogate):
    """TNAS as published, but psi reads one-hot choices instead of a graph.

    Two architectures with the same pruned graph are two different ones to it.

    Args:
        space: The search space.
        hidden: Width of psi's two hidden layers; 0: psi is the one-hot choices themselves.
        n_features: Width of a data set's points.
        seed: Of the initial weights.
    """

    def __init__(self, space: Space, hidden: int, n_features: int, seed: int) -> None:
        self._hidden = hidden
        config = Config.preset("paper")
        if hidden == 0:
            config = replace(config, architecture_dim=int(space.n_choices.sum()))
        super().__init__(space, config, n_features=n_features, seed=seed)

    def _build(self, n_features: int) -> None:
        super()._build(n_features)
        n_inputs, hidden = int(self.space.n_choices.sum()), self._hidden
        self.architecture_encoder = nn.Identity()
        if hidden > 0:
            self.architecture_encoder = nn.Sequential(
                nn.Linear(n_inputs, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, self.config.architecture_dim),
            )

    def groups(self, X: np.ndarray) -> np.ndarray:
        """Every architecture is one of its own."""
        return np.unique(X, axis=0, return_inverse=True)[1].ravel()

    def encode_architectures(self, X: np.ndarray) -> Tensor:
        """psi: ``n x P`` -> ``n x L``."""
        choices = torch.from_numpy(one_hot(self.space, X)).float().to(self.device)
        encoded: Tensor = self.architecture_encoder(choices)
        return encoded
