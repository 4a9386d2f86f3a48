"""The paper's model without data: encoders, deep kernel, mean and noise."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

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
from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.encoders import ArchitectureEncoder
from optuna_tnas.encoders import DatasetEncoder
from optuna_tnas.encoders import JointEncoder
from optuna_tnas.errors import DatasetError
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.kernels import DeepKernel
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.numerics import single_precision


_CHUNK = 1 << 14  # architectures encoded at a time


@dataclass(frozen=True)
class HyperParameters:
    """Hyper-parameters of the paper's GP, for outcomes of variance 1."""

    mean: float = 0.0
    outputscale: float = 1.0
    lengthscale: float = 1.0
    noise: float = 0.05


class DeepKernelGP(nn.Module):
    """Everything that meta-training learns by gradient: psi, phi, xi and the GP's parameters.

    Args:
        space: The search space.
        config: Sizes.
        n_features: Width of a data set's points.
        seed: Seed of the initial weights, which depend on nothing else.
    """

    def __init__(self, space: Space, config: Config, n_features: int, seed: int) -> None:
        super().__init__()
        self.space = space
        self.config = config
        with torch.random.fork_rng(devices=[]), controlled_numerics(), single_precision():
            torch.manual_seed(seed)
            self._build(n_features)
            self._set_lengthscale()

    def _build(self, n_features: int) -> None:
        psi, phi, xi = _encoders(self.space, self.config, n_features)
        self.architecture_encoder, self.dataset_encoder = psi, phi
        self.kernel = DeepKernel(xi, ScaleKernel(MaternKernel(nu=2.5)).double())
        self.mean = ConstantMean().double()
        self.likelihood = GaussianLikelihood(noise_constraint=GreaterThan(MINIMUM_NOISE)).double()
        self.likelihood.initialize(noise=HyperParameters.noise)

    @torch.no_grad()
    def _set_lengthscale(self) -> None:
        """Start where the kernel sees differences: at the median distance of the latents."""
        X = self.space.sample(64, np.random.default_rng(0))
        Z = self.latents(self.encode_architectures(X), self.encode_dataset(None))
        distance = float(torch.pdist(Z).median())
        self.kernel.base_kernel.base_kernel.initialize(lengthscale=max(distance, 1e-6))

    def with_space(self, space: Space) -> DeepKernelGP:
        """Copy with the same weights for another naming or a subset of the same space."""
        twin = copy(self)
        twin.space = space
        return twin

    def extended(self, space: Space) -> DeepKernelGP:
        """Copy for a space with more operations, which begin as the mean of those known."""
        twin = DeepKernelGP(space, self.config, self.dataset_encoder.n_features, seed=0)
        known = self.space.vocabulary
        state = self.state_dict()
        for walk in ("forward_walk", "backward_walk"):
            name = f"architecture_encoder.{walk}.cell.weight_ih"
            weights = state[name]
            mean = weights.mean(dim=1)
            columns = [weights[:, known[op]] if op in known else mean for op in space.vocabulary]
            state[name] = torch.stack(columns, dim=1)
        twin.load_state_dict(state)
        return twin.to(self.device).requires_grad_(False).eval()

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
        """Device of the encoders; the GP stays on the CPU."""
        return self.dataset_encoder.unknown.device

    def encode_architectures(self, X: np.ndarray) -> Tensor:
        """Encode ``n x P`` architectures by psi, dead operations removed: ``n x L``."""
        chunks = [X[start : start + _CHUNK] for start in range(0, max(len(X), 1), _CHUNK)]
        graphs = [self.space.to_graphs(chunk).pruned() for chunk in chunks]
        return torch.cat([self.architecture_encoder(batch) for batch in graphs])

    def encode_dataset(self, sample: DatasetSample | None) -> Tensor:
        """Encode one data set by phi, from points drawn with a fixed seed: ``K``."""
        return self.encode_datasets([sample], np.random.default_rng(0))[0]

    def encode_datasets(
        self, samples: Sequence[DatasetSample | None], rng: np.random.Generator
    ) -> Tensor:
        """Encode Q data sets by phi in one pass, from points drawn anew: ``Q x K``.

        None stands for an unknown data set, whose encoding is learned like a weight.

        Raises:
            DatasetError: If the points have another width than those of the past studies.
        """
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
        """Raise :class:`DatasetError` if phi cannot read the sample's points."""
        if sample is not None and sample.n_features != self.dataset_encoder.n_features:
            raise DatasetError(
                f"The data set's points have {sample.n_features} features, the surrogate was "
                f"trained with {self.dataset_encoder.n_features}; describe the data set the same "
                "way as those of the past studies, or leave it out."
            )

    def latents(self, encoded: Tensor, dataset: Tensor) -> Tensor:
        """Map psi's ``n x L`` and phi's ``K`` of one data set by xi: ``n x M`` float64, CPU."""
        pairs = torch.cat([encoded, dataset.expand(len(encoded), -1)], dim=-1)
        return self.kernel.encode(pairs).cpu()


def _encoders(
    space: Space, config: Config, n_features: int
) -> tuple[ArchitectureEncoder, DatasetEncoder, JointEncoder]:
    """Build psi, phi and xi."""
    c = config
    return (
        ArchitectureEncoder(len(space.vocabulary), c.architecture_hidden, c.architecture_dim),
        DatasetEncoder(n_features, c.dataset_width, c.dataset_heads, c.dataset_dim),
        JointEncoder(c.architecture_dim + c.dataset_dim, c.joint_layers),
    )


def check_shapes(
    space: Space, config: Config, n_features: int, weights: Mapping[str, Tensor]
) -> None:
    """Check that encoders of these sizes have these weights, without memory of these sizes.

    Args:
        space: The search space.
        config: Sizes.
        n_features: Width of a data set's points.
        weights: A :class:`DeepKernelGP`'s state.

    Raises:
        ValueError: If a weight has another shape, or less memory than its shape says.
        KeyError: If one is missing.
    """
    with torch.device("meta"):
        psi, phi, xi = _encoders(space, config, n_features)
    encoders = {"architecture_encoder": psi, "dataset_encoder": phi, "kernel.network": xi}
    for prefix, encoder in encoders.items():
        for name, wanted in encoder.state_dict(prefix=f"{prefix}.").items():
            found = weights[name]
            if found.shape != wanted.shape or not found.is_contiguous():
                shapes = (tuple(found.shape), tuple(wanted.shape))
                raise ValueError(f"size mismatch for {name}: {shapes[0]} instead of {shapes[1]}")
