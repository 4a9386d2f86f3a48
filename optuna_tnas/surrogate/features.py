"""Maps from architectures to the inputs of a study's GP."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.past import PastPredictor


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
