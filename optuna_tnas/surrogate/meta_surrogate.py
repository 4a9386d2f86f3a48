"""MetaSurrogate: everything that earlier searches taught, as one object."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optuna_tnas import checkpoint
from optuna_tnas.config import Config
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.errors import FeatureError
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import Space
from optuna_tnas.spaces import SubsetSpace
from optuna_tnas.spaces.extended import translated
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.hyperparameters import NONE
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.surrogate.deep_kernel_gp import check_shapes
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.features import FeatureMap
from optuna_tnas.surrogate.features import JointFeatures
from optuna_tnas.surrogate.features import JointPrediction
from optuna_tnas.surrogate.features import ListedFeatures
from optuna_tnas.surrogate.joint_past import HyperparameterPredictor
from optuna_tnas.surrogate.known_features import ArchitectureFeatures
from optuna_tnas.surrogate.known_features import KnownFeatures
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.paper import PaperModel
from optuna_tnas.surrogate.past import checked_rows
from optuna_tnas.surrogate.past import PastPredictor
from optuna_tnas.surrogate.past import PastStudies
from optuna_tnas.surrogate.study_model import Features
from optuna_tnas.surrogate.study_model import StudyModel
from optuna_tnas.surrogate.transfer import TransferModel
from optuna_tnas.surrogate.unfinished import Agreement
from optuna_tnas.surrogate.unfinished import UNKNOWN


_MAX_PAST_ROWS = 1000

ModelOf = Callable[["MetaSurrogate", DatasetSample | None, KnownFeatures | None], StudyModel]


def transfer_model(
    surrogate: MetaSurrogate,
    dataset: DatasetSample | None,
    known: KnownFeatures | None = None,
    **options: Any,
) -> TransferModel:
    """Build the default model of a study; ``options`` are those of :class:`TransferModel`."""
    past = surrogate.predictor
    return TransferModel(
        FeatureMap(surrogate.network, surrogate.structure, past, dataset, known), **options
    )


def paper_model(
    surrogate: MetaSurrogate, dataset: DatasetSample | None, known: KnownFeatures | None = None
) -> PaperModel:
    """Build the published model of a study, which has no known features."""
    assert known is None
    return PaperModel(surrogate.network, dataset)


MODELS: Mapping[str, ModelOf] = {"default": transfer_model, "paper": paper_model}


class MetaSurrogate:
    """The deep kernel over (architecture, data set) pairs, the past studies and a warm start.

    A new one has random weights that depend on nothing but ``seed``: the paper's "no
    meta-learning". :func:`optuna_tnas.meta_train` gives one that learned from past studies.

    Args:
        space: The search space.
        config: Sizes; those of :class:`~optuna_tnas.config.Config` unless given.
        n_features: Width of a data set's points.
        seed: Seed of the initial weights.

    Attributes:
        network: Encoders, kernel and the GP's hyper-parameters.
        metrics: Names of what the past studies' values are of, None where it is not known.
        warm_starts: ``w x P`` int64 for each metric, architectures to begin a search with, best
            first.
        agreement: Of reports of unfinished trainings with final outcomes.
        model: Builds the model of a study.
        provenance: Plain data on the origin of the weights.
    """

    def __init__(
        self,
        space: Space,
        config: Config | None = None,
        *,
        n_features: int = N_FEATURES,
        seed: int = 0,
    ) -> None:
        self.config = config or Config()
        self.network = DeepKernelGP(space, self.config, n_features, seed)
        self.network.requires_grad_(False).eval()
        self._past: PastStudies | None = None
        self.metrics: tuple[str | None, ...] = (None,)
        none = np.empty((0, len(space.parameters)), dtype=np.int64)
        self.warm_starts: tuple[np.ndarray, ...] = (none,)
        self.agreement = UNKNOWN
        self.model: ModelOf = MODELS[self.config.gp]
        self.provenance: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the encoded past, which is computed anew."""
        return {name: value for name, value in vars(self).items() if name != "predictor"}

    @property
    def space(self) -> Space:
        """The search space."""
        return self.network.space

    def to(self, device: torch.device | str) -> MetaSurrogate:
        """Move the encoders; the GP stays on the CPU."""
        self.network.to(device)
        return self

    def study_model(
        self, dataset: DatasetSample | None, known: KnownFeatures | None = None
    ) -> StudyModel:
        """Build the model of a study on one data set.

        Args:
            dataset: A sample of the data set, if known.
            known: Features known before training, if there are some.

        Raises:
            DatasetError: If the data set's points have another width than the past's.
            FeatureError: If the features cannot be computed.
        """
        return self.model(self, dataset, known)

    def joint_model(
        self, dataset: DatasetSample | None, space: JointSpace, known: KnownFeatures | None = None
    ) -> StudyModel:
        """Build the model of a study that searches hyper-parameters beside the architecture."""
        features: Features = FeatureMap(self.network, self.structure, None, dataset, known)
        if space.space.enumerable:
            features = ListedFeatures(space.space, features)
        beside = self.past.beside if self.past else None
        return TransferModel(
            JointFeatures(space, features, self.joint_prediction(dataset, space)),
            relevances=beside.relevances(space) if beside else (),
        )

    def joint_prediction(
        self, dataset: DatasetSample | None, space: JointSpace
    ) -> JointPrediction | None:
        """Build what the past studies predict for rows of a joint space; None without a past."""
        if self.past is None or self.predictor is None:
            return None
        features = FeatureMap(self.network, self.structure, self.predictor, dataset)
        if self.past.beside is None:
            return JointPrediction(space, features, None)
        weights = self.predictor.weights(dataset)[torch.from_numpy(self.past.study_index)]
        beside = HyperparameterPredictor(self.past.beside, self.past.X, weights, space)
        return JointPrediction(space, features, beside)

    def known_features(self, function: ArchitectureFeatures) -> KnownFeatures:
        """Read a user's function of an architecture's parameters.

        Raises:
            FeatureError: If it is no function, or the model has no place for features.
        """
        if self.config.gp == "paper":
            raise FeatureError(
                'The preset "paper" has no place for features; use a surrogate of the default one.'
            )
        return KnownFeatures(self.space, function)

    @property
    def past_hyperparameters(self) -> Hyperparameters:
        """What past studies searched beside the architecture."""
        beside = self.past.beside if self.past else None
        return beside.hyperparameters if beside else NONE

    def past_rows(self, space: JointSpace) -> np.ndarray:
        """Convert past trials, at most 1,000, to rows of a joint space; none with a gap."""
        if self.past is None or self.past.beside is None:
            return space.sample(0, np.random.default_rng())
        some = np.linspace(0, len(self.past.X) - 1, min(len(self.past.X), _MAX_PAST_ROWS))
        some = np.unique(some.astype(np.int64))
        known = self.past.beside
        H = known.hyperparameters.converted(known.coordinates[some], space.hyperparameters)
        complete = ~np.isnan(H).any(axis=1)
        snapped = space.hyperparameters.snapped(H[complete])
        return np.concatenate([self.past.X[some][complete], snapped], axis=1)

    @cached_property
    def structure(self) -> StructureEncoder:
        """The encoder of what architectures are made of; nothing is learned."""
        return StructureEncoder(self.space)

    @property
    def past(self) -> PastStudies | None:
        """The past studies; None if there are none, or the model does not use them."""
        return self._past

    @past.setter
    def past(self, past: PastStudies | None) -> None:
        self._past = past
        vars(self).pop("predictor", None)  # it has encoded others

    @cached_property
    def predictor(self) -> PastPredictor | None:
        """The past studies' posterior means, encoded at the first use."""
        return PastPredictor(self.past, self.network, self.structure) if self.past else None

    @property
    def past_names(self) -> tuple[str, ...]:
        """Names of the past studies that predict, in their order; none without a past."""
        n = 0 if self.past is None else len(self.past.dataset_encodings)
        known = self.provenance.get("tasks")
        names = tuple(map(str, known)) if isinstance(known, Mapping) else ()
        return names if len(names) == n else tuple(f"past study {q}" for q in range(n))

    def renamed(self, space: Space) -> MetaSurrogate:
        """Copy for a study that calls the space's parameters by other names, or whose space grew.

        Raises:
            SpaceError: If ``space`` neither is this surrogate's space nor extends it; the text
                says where not.
        """
        difference = self.space.difference(space)
        if difference is None:
            return self._with_space(space)
        for narrower in space.earlier:
            if narrower.fingerprint == self.space.fingerprint:
                return self._extended(space, narrower)
        raise SpaceError(
            f"The surrogate was trained on another search space: {difference}. Use the space "
            "it was trained on, or that space.extended(wider) if it grew, or meta-train on past "
            "studies of this one."
        )

    def _extended(self, space: Space, narrower: Space) -> MetaSurrogate:
        """Copy for a space that grew from ``narrower``: past trials are encoded anew."""
        twin = copy(self)
        vars(twin).pop("structure", None)
        twin.network = self.network.extended(space)
        twin.warm_starts = tuple(translated(X, narrower, space) for X in self.warm_starts)
        if self.past is not None:
            X = translated(self.past.X, narrower, space)
            with controlled_numerics():
                outcomes = self.past.outcomes(self.network, self.structure)
                twin.past = self.past.refitted(twin.network, twin.structure, X, outcomes)
        return twin

    def restricted_to(self, X: np.ndarray) -> MetaSurrogate:
        """Copy for a search among ``n x P`` architectures only."""
        space = SubsetSpace.of(self.space, X)
        twin = self._with_space(space)
        twin.warm_starts = tuple(
            warm_start[(warm_start[:, None] == space.rows).all(axis=2).any(axis=1)]
            for warm_start in self.warm_starts
        )
        return twin

    def _with_space(self, space: Space) -> MetaSurrogate:
        """Copy whose structure encoder and predictor remain those of the whole space."""
        _ = self.structure
        twin = copy(self)
        twin.network = self.network.with_space(space)
        return twin

    # --- plain data -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Plain data from which :meth:`from_state` restores the surrogate."""
        weights = {name: value.cpu() for name, value in self.network.state_dict().items()}
        metrics = zip(self.metrics, self.warm_starts, strict=True)
        return {
            "space": self.space.declaration(),
            "config": self.config.state(),
            "n_features": self.network.dataset_encoder.n_features,
            "weights": weights,
            "metrics": [(name, torch.from_numpy(X)) for name, X in metrics],
            "past": None if self.past is None else self.past.state(),
            "agreement": self.agreement.state(),
            "provenance": self.provenance,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], space: Space | None = None) -> MetaSurrogate:
        """Restore a surrogate from :meth:`state`.

        Args:
            state: Plain data.
            space: The search space, needed if it is define-by-run code.

        Raises:
            Exception: Of the kind that a missing, wrong or contradictory value causes.
        """
        space = Space.from_declaration(state["space"], space)
        config, n_features = Config.from_state(state["config"]), state["n_features"]
        check_shapes(space, config, n_features, state["weights"])
        surrogate = cls(space, config, n_features=n_features)
        surrogate.network.load_state_dict(state["weights"])
        metrics = _metrics_of(state)
        surrogate.metrics = tuple(None if name is None else str(name) for name, _ in metrics)
        surrogate.warm_starts = tuple(checked_rows(X.numpy(), space) for _, X in metrics)
        if state["past"] is not None:
            surrogate.past = PastStudies.from_state(state["past"], surrogate.network)
        if "metrics" in state:  # version 3 has neither
            surrogate.agreement = Agreement.from_state(state["agreement"])
        surrogate.provenance = dict(state["provenance"])
        surrogate._check_finite()
        surrogate._check_metrics()
        return surrogate

    def _check_metrics(self) -> None:
        known = range(len(self.metrics))
        if not self.metrics or not set(self.past.metrics if self.past else ()) <= {*known}:
            raise ValueError("past studies of metrics that are not there")

    def _check_finite(self) -> None:
        encoder = self.network.dataset_encoder
        values = [*self.network.parameters(), encoder.feature_mean, encoder.feature_scale]
        if self.past is not None:
            values += [self.past.dataset_encodings, self.past.alpha]
        if not all(value.isfinite().all() for value in values):
            raise ValueError("NaN or infinite weights")

    def save(self, path: str | Path) -> None:
        """Write a checkpoint of plain data, which :meth:`load` reads.

        An existing file is replaced only by one that can be read back.

        Raises:
            CheckpointError: If the file cannot be written, or the surrogate is not plain data with
                finite weights.
        """
        check = partial(self.from_state, space=self.space)
        checkpoint.write(path, self.state(), check=check)

    @classmethod
    def load(cls, source: str | Path, space: Space | None = None) -> MetaSurrogate:
        """Read a checkpoint.

        Args:
            source: A path, or the name of a checkpoint that the package ships.
            space: The search space, needed if it is define-by-run code: a checkpoint names the
                code, but nothing is imported.

        Raises:
            MissingSpaceError: If the space is needed and not given, or is another one.
            CheckpointError: If there is no such file, or it is damaged, foreign, written by a
                newer version, or holds more than plain data.
        """
        return checkpoint.read(source, partial(cls.from_state, space=space))

    def summary(self) -> Mapping[str, Any]:
        """Describe the surrogate by plain data."""
        return {
            "space": {
                "size": self.space.size,
                "fingerprint": self.space.fingerprint,
                "parameters": [p.name for p in self.space.parameters],
            },
            "weights": sum(p.numel() for p in self.network.parameters()),
            "data set features": self.network.dataset_encoder.n_features,
            "hyper-parameters": vars(self.network.hyperparameters),
            "metrics": list(self.metrics),
            "warm start": [self.space.decode(row) for X in self.warm_starts for row in X],
            "provenance": self.provenance,
        }


def _metrics_of(state: Mapping[str, Any]) -> Sequence[tuple[Any, Any]]:
    """Read the metrics' names and warm starts; checkpoints of version 3 have one metric."""
    if "warm_start" in state:
        return [(state.get("metric"), state["warm_start"])]
    return list(state["metrics"])
