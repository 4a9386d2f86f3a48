"""What earlier searches learned: the encoders, the deep kernel and where to start."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

from gpytorch.constraints import GreaterThan
from gpytorch.kernels import MaternKernel
from gpytorch.kernels import ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean
import numpy as np
import torch
from torch import nn
from torch import Tensor

from optuna_tnas.config import Config
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.encoders import ArchitectureEncoder
from optuna_tnas.encoders import DatasetEncoder
from optuna_tnas.encoders import JointEncoder
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.errors import DatasetError
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import Space
from optuna_tnas.spaces import SubsetSpace
from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.gp import fit_published_gp
from optuna_tnas.surrogate.gp import fit_transfer_mixture
from optuna_tnas.surrogate.gp import HyperParameters
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.kernels import DeepKernel
from optuna_tnas.surrogate.kernels import predictions
from optuna_tnas.surrogate.kernels import Remembered
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.numerics import single_precision
from optuna_tnas.surrogate.past import likeness
from optuna_tnas.surrogate.past import Past
from optuna_tnas.surrogate.past import PastStudy
from optuna_tnas.surrogate.past import predict


_CHUNK = 4096
_LEAST_LIKENESS = 0.01  # of data sets; below it there is nothing to choose between


class MetaSurrogate(nn.Module):
    """The deep kernel over (architecture, data set) pairs and a set of initial architectures.

    A new one has random weights that depend on nothing but ``seed``: the paper's "no
    meta-learning". :func:`optuna_tnas.meta_train` gives one that learned from past studies.

    Args:
        space: The search space.
        config: Sizes; those of :class:`~optuna_tnas.config.Config` unless given.
        n_features: Width of a data set's points.
        seed: Of the initial weights.

    Attributes:
        warm_start: ``w x P`` int64, architectures to begin a search with, best first.
        provenance: Plain data that says where the weights come from.
    """

    def __init__(
        self,
        space: Space,
        config: Config | None = None,
        *,
        n_features: int = N_FEATURES,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.space = space
        self.config = config or Config()
        self.warm_start = np.empty((0, len(space.parameters)), dtype=np.int64)
        self._past: Past | None = None
        self.provenance: dict[str, Any] = {}
        with torch.random.fork_rng(devices=[]), controlled_numerics(), single_precision():
            torch.manual_seed(seed)
            self._build(n_features)
            self._set_lengthscale()

    def _build(self, n_features: int) -> None:
        c = self.config
        self.architecture_encoder = ArchitectureEncoder(
            len(self.space.vocabulary), c.architecture_hidden, c.architecture_dim
        )
        self.dataset_encoder = DatasetEncoder(
            n_features, c.dataset_width, c.dataset_heads, c.dataset_dim
        )
        joint = JointEncoder(c.architecture_dim + c.dataset_dim, c.joint_layers)
        self.kernel = DeepKernel(joint, ScaleKernel(MaternKernel(nu=2.5)).double())
        self.mean = ConstantMean().double()
        self.likelihood = GaussianLikelihood(noise_constraint=GreaterThan(MINIMUM_NOISE)).double()
        self.likelihood.initialize(noise=HyperParameters.noise)

    def _set_lengthscale(self) -> None:
        """Start where the kernel sees differences: at the median distance of the latents."""
        Z = self.latents(self.space.sample(64, np.random.default_rng(0)), None)
        distance = float(torch.pdist(Z).median())
        self.kernel.base_kernel.base_kernel.initialize(lengthscale=max(distance, 1e-6))

    @property
    def hyperparameters(self) -> HyperParameters:
        """The meta-learned hyper-parameters of the GP itself."""
        scale = self.kernel.base_kernel
        return HyperParameters(
            mean=self.mean.constant.item(),
            outputscale=scale.outputscale.item(),
            lengthscale=scale.base_kernel.lengthscale.item(),
            noise=self.likelihood.noise.item(),
        )

    @property
    def device(self) -> torch.device:
        """Where the encoders are."""
        return self.dataset_encoder.unknown.device

    def groups(self, X: np.ndarray) -> np.ndarray:
        """``n`` int64, numbered from 0: architectures of one group have the same latents."""
        return self.space.to_graphs(X).pruned().classes()[1]

    def encode_architectures(self, X: np.ndarray) -> Tensor:
        """psi of ``n x P`` architectures, dead operations removed: ``n x L``."""
        graphs, inverse = self.space.to_graphs(X).pruned().classes()
        ops, adjacency = graphs.tensors(self.device)
        chunks = zip(ops.split(_CHUNK), adjacency.split(_CHUNK), strict=True)
        encoded = torch.cat([self.architecture_encoder(*chunk) for chunk in chunks])
        return encoded[torch.from_numpy(inverse).to(self.device)]

    def encode_dataset(self, sample: DatasetSample | None, rng: np.random.Generator) -> Tensor:
        """phi of points drawn anew from the sample: ``K``; what is learned for None.

        Raises:
            DatasetError: If the points have another width than those of the past studies.
        """
        return self.encode_datasets([sample], rng)[0]

    def encode_datasets(
        self, samples: Sequence[DatasetSample | None], rng: np.random.Generator
    ) -> Tensor:
        """Q samples as above, in one pass: ``Q x K``."""
        encodings = self.dataset_encoder.unknown.repeat(len(samples), 1)
        known = [q for q, sample in enumerate(samples) if sample is not None]
        if not known:
            return encodings
        points, present = [], []
        for sample in (samples[q] for q in known):
            self.check_dataset(sample)
            assert sample is not None
            c = self.config
            drawn, there = sample.draw(c.max_classes, c.points_per_class, rng)
            points.append(torch.from_numpy(drawn).to(self.device))
            present.append(torch.from_numpy(there).to(self.device))
        encodings[known] = self.dataset_encoder.together(points, present)
        return encodings

    def check_dataset(self, sample: DatasetSample | None) -> None:
        """Raises :class:`DatasetError` if phi cannot read the sample's points."""
        if sample is not None and sample.n_features != self.dataset_encoder.n_features:
            raise DatasetError(
                f"The data set's points have {sample.n_features} features, the surrogate was "
                f"trained with {self.dataset_encoder.n_features}; describe the data set the same "
                "way as those of the past studies, or leave it out."
            )

    def renamed(self, space: Space) -> MetaSurrogate:
        """The same surrogate for a study that calls the space's parameters by other names.

        Raises:
            SpaceError: If ``space`` is not this surrogate's space; the text says where not.
        """
        difference = self.space.difference(space)
        if difference is not None:
            raise SpaceError(
                f"The surrogate was trained on another search space: {difference}. Use the space "
                "it was trained on, or meta-train on past studies of this one."
            )
        twin = copy(self)
        twin.space = space
        return twin

    def confined(self, X: np.ndarray) -> MetaSurrogate:
        """The same surrogate for a search among ``n x P`` architectures only."""
        space = SubsetSpace.of(self.space, X)
        twin = self.renamed(space)
        twin.structure = self.structure  # of the whole space
        known = (self.warm_start[:, None] == space.rows).all(axis=2).any(axis=1)
        twin.warm_start = self.warm_start[known]
        return twin

    @torch.no_grad()
    def latents(self, X: np.ndarray, sample: DatasetSample | None) -> Tensor:
        """The deep kernel's inputs for a search on one data set: ``n x P`` -> ``n x M`` float64.

        On the CPU. Points are drawn with a fixed seed, so that a data set has one encoding.
        """
        return self._latents(self.encode_architectures(X), self._encoding(sample))

    def _encoding(self, sample: DatasetSample | None) -> Tensor:
        return self.encode_dataset(sample, np.random.default_rng(0))

    def _latents(self, encoded: Tensor, dataset: Tensor) -> Tensor:
        """psi's ``n x L``, phi's ``K`` of one data set -> ``n x M``."""
        pairs = torch.cat([encoded, dataset.expand(len(encoded), -1)], dim=-1)
        return self.kernel.encode(pairs).cpu()

    # --- a study's GP -------------------------------------------------------------------------

    @cached_property
    def structure(self) -> StructureEncoder:
        """What networks are made of."""
        return StructureEncoder(self.space)

    @property
    def past(self) -> Past | None:
        """What the past studies predict; None if nothing is known."""
        return self._past

    @past.setter
    def past(self, past: Past | None) -> None:
        self._past = past
        self.__dict__.pop("_studies", None)

    @property
    def n_latents(self) -> int:
        """M, the width of the deep kernel's inputs."""
        return self.config.joint_layers[-1]

    @property
    def n_studies(self) -> int:
        """Q, how many past studies predict."""
        return 0 if self.past is None else len(self.past.datasets)

    @torch.no_grad()
    def inputs(self, X: np.ndarray, sample: DatasetSample | None) -> Tensor:
        """A study's GP's inputs for a search on one data set: ``n x P`` -> ``n x d`` float64.

        Latents; for the default GP also structure and what each past study predicts, times how
        much it counts.
        """
        if self.config.gp == "published":
            return self.latents(X, sample)
        encoded, structure = self.encode_architectures(X), self.structure(X)
        inputs = self._described(self._latents(encoded, self._encoding(sample)), structure)
        if self.past is None:
            return inputs
        predicted = self._predictions(encoded, structure) * self.relevance(sample)
        return torch.cat([inputs, predicted], dim=-1)

    def past_mean(self, X: np.ndarray, sample: DatasetSample | None) -> Tensor:
        """``mu(x, D)``, what the past studies together predict: ``n x P`` -> ``n`` float64.

        0 without a past.
        """
        return predictions(self.inputs(X, sample), self.n_studies).sum(dim=-1)

    @torch.no_grad()
    def predictions(self, X: np.ndarray) -> Tensor:
        """What each of the Q past studies predicts for its own data set: ``n x Q`` float64.

        ``n x P`` architectures. Needs a past.
        """
        return self._predictions(self.encode_architectures(X), self.structure(X))

    def _predictions(self, encoded: Tensor, structure: Tensor) -> Tensor:
        predicted = [
            predict(
                self._described(self._latents(encoded, study.dataset.to(encoded)), structure),
                study.inputs,
                study.weights,
                self.n_latents,
            )
            for study in self._studies
        ]
        return torch.stack(predicted, dim=1)

    @torch.no_grad()
    def relevance(self, sample: DatasetSample | None) -> Tensor:
        """How much each past study's prediction counts for a data set: ``Q`` float64, of sum 1.

        In proportion to the deep kernel's correlation of an architecture on this data set with
        the same one on the study's, averaged over the study's trials. All count alike for a data
        set that is like none, and for an unknown one if no study has one: how alike it is to
        others was not learned then. Needs a past.
        """
        studies = self._studies
        unknown = self.dataset_encoder.unknown.cpu()
        if sample is None and not any(torch.equal(s.dataset.cpu(), unknown) for s in studies):
            return torch.full((len(studies),), 1 / len(studies)).double()
        asked = self._encoding(sample)
        mean = [
            likeness(
                self._scaled(self._latents(s.encoded.to(asked), asked)), s.inputs, self.n_latents
            )
            for s in studies
        ]
        relevance = torch.stack(mean) + _LEAST_LIKENESS
        return relevance / relevance.sum()

    def condition(
        self, inputs: Tensor, y: Tensor, remembered: Remembered | None = None
    ) -> Mixture:
        """The GPs on a study's trials: ``n x d`` inputs, ``n`` scaled labels, n >= 1."""
        if self.config.gp == "published":
            return Mixture(fit_published_gp(inputs, y, self.hyperparameters))
        return fit_transfer_mixture(inputs, y, self.n_latents, self.n_studies, remembered)

    def described(self, X: np.ndarray, sample: DatasetSample | None) -> Tensor:
        """The default GP's inputs without the predictions: ``n x (M + S)``."""
        return self._described(self.latents(X, sample), self.structure(X))

    def _described(self, latents: Tensor, structure: Tensor) -> Tensor:
        return torch.cat([self._scaled(latents), structure], dim=-1)

    def _scaled(self, latents: Tensor) -> Tensor:
        return latents / self.hyperparameters.lengthscale

    @cached_property
    @torch.no_grad()
    def _studies(self) -> list[PastStudy]:
        assert self.past is not None
        return [
            self._past_study(self.past, q, dataset.to(self.device))
            for q, dataset in enumerate(self.past.datasets)
        ]

    def _past_study(self, past: Past, q: int, dataset: Tensor) -> PastStudy:
        rows = np.flatnonzero(past.task == q)
        encoded = self.encode_architectures(past.X[rows])
        inputs = self._described(self._latents(encoded, dataset), self.structure(past.X[rows]))
        return PastStudy(dataset, encoded, inputs, past.weights[:, torch.from_numpy(rows)])

    def save(self, path: str | Path) -> None:
        """Write a checkpoint of plain data, which :meth:`TNASSampler.load` reads."""
        from optuna_tnas.checkpoint import save

        save(self, path)

    def summary(self) -> Mapping[str, Any]:
        """Plain data that describes the surrogate."""
        return {
            "space": {
                "size": self.space.size,
                "fingerprint": self.space.fingerprint,
                "parameters": [p.name for p in self.space.parameters],
            },
            "weights": sum(p.numel() for p in self.parameters()),
            "data set features": self.dataset_encoder.n_features,
            "hyper-parameters": vars(self.hyperparameters),
            "warm start": [self.space.decode(row) for row in self.warm_start],
            "provenance": self.provenance,
        }
