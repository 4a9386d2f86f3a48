"""Maps from architectures to the inputs of a study's GP."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.listing import Listing
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.joint_past import HyperparameterPredictor
from optuna_tnas.surrogate.known_features import KnownFeatures
from optuna_tnas.surrogate.parameters import ParameterColumns
from optuna_tnas.surrogate.past import PastPredictor
from optuna_tnas.surrogate.study_model import Features


# Of the known features' kernel on ``F`` normal scores, relative to lengthscales of sqrt(F) each.
KNOWN_SCALE = 0.3**0.5


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
    """Architectures to latents, structure, known features and the past studies' predictions.

    Args:
        network: The encoders.
        structure: Counts operations and their neighborhoods.
        past: Predicts from the past studies; None if there are none.
        dataset: The data set that is searched on, if known.
        known: Features known before training, if there are some.
    """

    def __init__(
        self,
        network: DeepKernelGP,
        structure: StructureEncoder,
        past: PastPredictor | None,
        dataset: DatasetSample | None,
        known: KnownFeatures | None = None,
    ) -> None:
        self._network, self._structure, self._past = network, structure, past
        self._known = known
        with torch.no_grad():
            self._dataset = network.encode_dataset(dataset)
            self._lengthscale = network.hyperparameters.lengthscale
            self._weights = past.weights(dataset) if past else torch.empty(0, 0)
        self.blocks = Blocks.of_widths(
            network.config.joint_layers[-1],
            structure.width,
            self._weights.shape[1],
            known=len(known.used) if known else 0,
        ).with_metrics(past.widths if past else ())

    @torch.no_grad()
    def predicted(self, X: np.ndarray) -> Tensor:
        """What the past studies predict for ``n x P`` architectures: ``n x C``."""
        assert self._past is not None
        distinct, inverse = np.unique(X, axis=0, return_inverse=True)
        encoded = self._network.encode_architectures(distinct)
        predicted = self._past.predict(encoded, self._structure(distinct), self._weights)
        return predicted[torch.from_numpy(inverse.ravel())]

    @torch.no_grad()
    def __call__(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n x d`` float64."""
        encoded, structure = self._network.encode_architectures(X), self._structure(X)
        latents = self._network.latents(encoded, self._dataset) / self._lengthscale
        columns = [latents, structure]
        if self._known is not None and self.blocks.has_known:
            columns.append(self._known(X) * KNOWN_SCALE / len(self._known.used) ** 0.5)
        if self._past is not None:
            columns.append(self._past.predict(encoded, structure, self._weights))
        return torch.cat(columns, dim=-1)


class ListedFeatures:
    """Features of a listed space's architectures, computed once for all.

    Architectures that are the same network share a row.

    Args:
        space: The space.
        features: Computes them.
    """

    def __init__(self, space: Space, features: Features) -> None:
        self._listing = Listing(space)
        self._table = features(self._listing.X[self._listing.first])
        self.blocks = features.blocks

    def __call__(self, X: np.ndarray) -> Tensor:
        """``n x P`` architectures -> ``n x d`` float64."""
        return self._table[torch.from_numpy(self._listing.networks_of(X))]


class JointPrediction:
    """What the past studies predict for rows of a joint space.

    Args:
        space: The joint space.
        features: Of architectures, with a past.
        beside: Predicts what the parameters add, if past studies had hyper-parameters.
    """

    def __init__(
        self, space: JointSpace, features: FeatureMap, beside: HyperparameterPredictor | None
    ) -> None:
        self._space, self._features, self._beside = space, features, beside
        blocks = features.blocks.metrics or (features.blocks.predictions,)
        self.widths = [block.stop - block.start for block in blocks]

    def __call__(self, rows: np.ndarray) -> Tensor:
        """``n`` rows -> ``n x C``."""
        predicted = self._features.predicted(self._space.split(rows)[0])
        return predicted if self._beside is None else predicted + self._beside(rows)


class JointFeatures:
    """Rows of a joint space to features of the architecture, and columns of each parameter.

    Args:
        space: The joint space.
        features: Features of an architecture.
        past: What the past studies predict; None without a past.
    """

    def __init__(
        self,
        space: JointSpace,
        features: Features,
        past: JointPrediction | None = None,
    ) -> None:
        self._space, self._features, self._past = space, features, past
        self._columns = ParameterColumns(space)
        widths = past.widths if past else []
        blocks = features.blocks.with_parameters(sum(widths), self._columns.owners)
        self.blocks = blocks.with_metrics(widths)

    @torch.no_grad()
    def __call__(self, X: np.ndarray) -> Tensor:
        """``n`` rows -> ``n x d`` float64."""
        architectures, _ = self._space.split(X)
        predicted = [self._past(X)] if self._past else []
        return torch.cat([self._features(architectures), *predicted, self._columns(X)], dim=1)
