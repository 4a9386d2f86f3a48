"""Maps from architectures to the inputs of a study's GP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.past import PastPredictor
from optuna_tnas.surrogate.study_model import Features


class LatentMap:
    """Architectures to latents alone, as the paper's kernel reads them.

    Args:
        network: The encoders.
        dataset: The data set that is searched on, if known.
    """

    def __init__(self, network: DeepKernelGP, dataset: DatasetSample | None) -> None:
        self._network = network
        with torch.no_grad():
            self._dataset = network.encode_dataset(dataset)
        self.blocks = Blocks.of_widths(network.config.joint_layers[-1])

    @torch.no_grad()
    def __call__(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n x M`` float64."""
        return self._network.latents(self._network.encode_architectures(X), self._dataset)


class FeatureMap:
    """Architectures to latents, structure and the past studies' prediction.

    Args:
        network: The encoders.
        structure: Counts operations and their neighborhoods.
        past: Predicts from the past studies; None if there are none.
        dataset: The data set that is searched on, if known.
    """

    def __init__(
        self,
        network: DeepKernelGP,
        structure: StructureEncoder,
        past: PastPredictor | None,
        dataset: DatasetSample | None,
    ) -> None:
        self._network, self._structure, self._past = network, structure, past
        with torch.no_grad():
            self._dataset = network.encode_dataset(dataset)
            self._lengthscale = network.hyperparameters.lengthscale
            self._relevance = past.relevance(dataset).unsqueeze(1) if past else torch.empty(0)
        self.blocks = Blocks.of_widths(
            network.config.joint_layers[-1], structure.width, int(past is not None)
        )

    @torch.no_grad()
    def __call__(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n x d`` float64."""
        encoded, structure = self._network.encode_architectures(X), self._structure(X)
        latents = self._network.latents(encoded, self._dataset) / self._lengthscale
        if self._past is None:
            return torch.cat([latents, structure], dim=-1)
        predicted = self._past.predict(encoded, structure, self._relevance)
        return torch.cat([latents, structure, predicted], dim=-1)


class ListedFeatures:
    """Features of a listed space's architectures, computed once for all.

    Architectures that are the same network share a row.

    Args:
        space: The space.
        features: Computes them.
    """

    def __init__(self, space: Space, features: Features) -> None:
        X = space.enumerate()
        self._space, self._indices = space, space.indices(X)  # ascending
        self._class = space.to_graphs(X).pruned().classes()[1]
        first = np.unique(self._class, return_index=True)[1]
        self._table = features(X[first])
        self.blocks = features.blocks

    def __call__(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n x d`` float64."""
        place = np.searchsorted(self._indices, self._space.indices(X))
        return self._table[torch.from_numpy(self._class[place])]


class JointFeatures:
    """Rows of a joint space to features of the architecture, and columns of each parameter.

    A number is a column, as is a choice among numbers; of other choices each one is a column, so
    that different ones are at a squared distance of 1. What a trial does not have counts as the
    middle of a range, and as none of the choices.

    Args:
        space: The joint space.
        features: Features of an architecture.
    """

    def __init__(self, space: JointSpace, features: Features) -> None:
        self._space, self._features = space, features
        of_space = [0 if ordered(p) else len(p.choices) for p in space.space.parameters]
        self._n_choices = [*of_space, *space.hyperparameters.n_choices.tolist()]
        owners = [i for i, n in enumerate(self._n_choices) for _ in range(max(n, 1))]
        self.blocks = replace(features.blocks, owners=tuple(owners))
        spans = [max(len(p.choices) - 1, 1) for p in space.space.parameters]
        self._spans = np.array([*spans, *np.ones(len(space.hyperparameters))])

    def __call__(self, X: np.ndarray) -> Tensor:
        """``n`` rows -> ``n x d`` float64."""
        architectures, _ = self._space.split(X)
        columns = [self._columns(X[:, i], i) for i in range(X.shape[1])]
        return torch.cat([self._features(architectures), *map(torch.from_numpy, columns)], dim=1)

    def _columns(self, values: np.ndarray, parameter: int) -> np.ndarray:
        n = self._n_choices[parameter]
        if n == 0:
            return np.nan_to_num(values / self._spans[parameter], nan=0.5)[:, None]
        return np.asarray((values[:, None] == np.arange(n)) / 2**0.5)


def ordered(parameter: Parameter) -> bool:
    """Tell whether the choices are numbers in ascending order, such as kernel sizes."""
    numbers = [c for c in parameter.choices if isinstance(c, int | float) and c is not True]
    return len(numbers) == len(parameter.choices) and numbers == sorted(numbers)
