"""What past studies say of hyper-parameters: one more kernel in their Gaussian processes.

The kernel reads all parameters, the architecture's choices among them, each with a relevance that
all studies share. Relevances, variances and noise are the geometric means of those that each
study's trials make most probable.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import distribution_to_json
from optuna.distributions import json_to_distribution
import torch
from torch import Tensor

from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.surrogate.evidence import center_of
from optuna_tnas.surrogate.evidence import Evidence
from optuna_tnas.surrogate.evidence import Scales
from optuna_tnas.surrogate.kernels import gaussian
from optuna_tnas.surrogate.kernels import matern
from optuna_tnas.surrogate.kernels import squared_distance
from optuna_tnas.surrogate.parameters import differences
from optuna_tnas.surrogate.parameters import ParameterColumns


_MAX_FITTED = 200  # trials of a study that its scales are fitted to
_CHUNK = 256  # rows predicted at a time


@dataclass(frozen=True)
class StudyTrials:
    """One past study's trials under the kernels.

    Attributes:
        latents: ``n x M``, divided by the lengthscale.
        structure: ``n x S``.
        columns: ``n x C`` of the parameters.
        y: ``n`` outcomes.
    """

    latents: Tensor
    structure: Tensor
    columns: Tensor
    y: Tensor

    def correlations(self) -> Tensor:
        """Of latents and of structure: ``2 x n x n``."""
        latents, structure = self.latents, self.structure
        deep = matern(squared_distance(latents, latents))
        return torch.stack([deep, gaussian(squared_distance(structure, structure))])

    def first(self, n: int) -> StudyTrials:
        """Keep the first ``n`` trials."""
        parts = (self.latents, self.structure, self.columns, self.y)
        return StudyTrials(*(part[:n] for part in parts))

    def scales(self, owners: tuple[int, ...], center: Scales) -> np.ndarray:
        """Fit the logarithms of the variances, relevances and noise, in the outcomes' unit."""
        some = self.first(_MAX_FITTED)
        nothing = torch.zeros(len(some.y), len(some.y)).to(some.y)
        between = differences(some.columns, owners)
        evidence = Evidence(some.y, nothing[0], nothing, some.correlations(), center, between)
        scales = evidence.fit().scales
        squared = scales.unit**2
        variances = [squared * v for v in scales.variances]
        return np.log([*variances, squared * scales.noise, *scales.relevances])

    def coefficients(self, shared: SharedScales, owners: tuple[int, ...]) -> Tensor:
        """Coefficients of the posterior mean in each kernel: ``3 x n``."""
        K = self.covariance(shared, owners)
        variances = torch.tensor(shared.variances).to(K)
        return torch.outer(variances, torch.linalg.solve(K, self.y))

    def covariance(self, shared: SharedScales, owners: tuple[int, ...]) -> Tensor:
        """Covariance of the outcomes, noise included: ``n x n``."""
        columns = shared.scaled(self.columns, owners)
        third = matern(squared_distance(columns, columns))
        R = torch.cat([self.correlations(), third.unsqueeze(0)])
        K = torch.tensordot(torch.tensor(shared.variances).to(R), R, dims=1)
        K.diagonal().add_(shared.noise)
        return K


@dataclass(frozen=True)
class SharedScales:
    """Scales that all past studies share.

    Attributes:
        variances: Of latents, structure and parameters.
        noise: Variance of the noise.
        relevances: Of each parameter.
    """

    variances: tuple[float, ...]
    noise: float
    relevances: tuple[float, ...]

    @classmethod
    def fit(
        cls, studies: Sequence[StudyTrials], owners: tuple[int, ...], center: Scales
    ) -> SharedScales:
        """Average the logarithms of each study's scales."""
        each = [study.scales(owners, center) for study in studies]
        scales = np.exp(np.mean(each, axis=0)).tolist()
        return cls(tuple(scales[:3]), scales[3], tuple(scales[4:]))

    def scaled(self, columns: Tensor, owners: tuple[int, ...]) -> Tensor:
        """Scale parameters' columns (``n x C``) for a kernel of lengthscale 1."""
        return columns * torch.tensor(self.relevances).to(columns).sqrt()[list(owners)]


@dataclass(frozen=True)
class PastHyperparameters:
    """The past trials' hyper-parameters, and their coefficients in the posterior means.

    Attributes:
        hyperparameters: Those of any past study.
        coordinates: ``N x H`` of all studies' trials.
        scales: Shared by the studies.
        alpha: ``N`` coefficients of the kernel on parameters.
    """

    hyperparameters: Hyperparameters
    coordinates: np.ndarray
    scales: SharedScales
    alpha: Tensor

    def relevances(self, space: JointSpace) -> tuple[float, ...]:
        """Relevances of a joint space's parameters, NaN for what no past study had."""
        P = len(space.space.parameters)
        names = self.hyperparameters.distributions
        known = dict(zip(names, self.scales.relevances[P:], strict=True))
        beside = (known.get(name, np.nan) for name in space.hyperparameters.distributions)
        return (*self.scales.relevances[:P], *beside)

    def state(self) -> dict[str, Any]:
        """Plain data of a checkpoint."""
        known = self.hyperparameters.distributions.items()
        return {
            "distributions": {name: distribution_to_json(d) for name, d in known},
            "coordinates": torch.from_numpy(self.coordinates),
            "scales": vars(self.scales),
            "alpha": self.alpha,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n: int, n_choices: int) -> PastHyperparameters:
        """Read :meth:`state` back, for ``n`` trials of a space of ``n_choices`` parameters.

        Raises:
            ValueError: If shapes or values contradict each other.
        """
        texts = state["distributions"].items()
        known = Hyperparameters({str(name): json_to_distribution(d) for name, d in texts})
        coordinates = np.asarray(state["coordinates"].numpy(), dtype=np.float64)
        scales = SharedScales(**state["scales"])
        lengths = (len(scales.variances), len(scales.relevances))
        shapes = (coordinates.shape, state["alpha"].shape, lengths)
        if shapes != ((n, len(known)), (n,), (3, n_choices + len(known))):
            raise ValueError("past hyper-parameters of another shape")
        if not np.isfinite([*scales.variances, scales.noise, *scales.relevances]).all():
            raise ValueError("NaN or infinite scales")
        return cls(known, coordinates, scales, state["alpha"])


def condition(
    space: JointSpace,
    X: np.ndarray,
    study_index: np.ndarray,
    coordinates: np.ndarray,
    studies: Sequence[tuple[Tensor, Tensor, Tensor]],
) -> tuple[Tensor, PastHyperparameters]:
    """Condition GPs with a kernel on all parameters on past studies.

    Args:
        space: The architectures and the past's hyper-parameters.
        X: ``N x P``, the architectures of all studies' trials.
        study_index: ``N``, each trial's study.
        coordinates: ``N x H``, the trials' hyper-parameters.
        studies: Latents, structure and outcomes of each study's trials.

    Returns:
        ``2 x N`` coefficients of the kernels on architectures, and what concerns parameters.
    """
    rows = np.concatenate([X, coordinates], axis=1)
    trials, owners = _by_study(space, rows, study_index, studies)
    scales = SharedScales.fit(trials, owners, center_of(rows.shape[1]))
    alpha = torch.cat([study.coefficients(scales, owners) for study in trials], dim=1)
    past = PastHyperparameters(space.hyperparameters, coordinates, scales, alpha[2])
    return alpha[:2], past


def outcomes_of(
    past: PastHyperparameters,
    space: JointSpace,
    X: np.ndarray,
    study_index: np.ndarray,
    studies: Sequence[tuple[Tensor, Tensor, Tensor]],
) -> list[Tensor]:
    """Find the outcomes of each study that its coefficients were computed from.

    Arguments are those of :func:`condition`, the studies' third part their coefficients of the
    kernel on parameters.
    """
    rows = np.concatenate([X, past.coordinates], axis=1)
    trials, owners = _by_study(space, rows, study_index, studies)
    variance = past.scales.variances[2]
    return [t.covariance(past.scales, owners) @ t.y / variance for t in trials]


def _by_study(
    space: JointSpace,
    rows: np.ndarray,
    study_index: np.ndarray,
    studies: Sequence[tuple[Tensor, Tensor, Tensor]],
) -> tuple[list[StudyTrials], tuple[int, ...]]:
    """Join each study's parts with its parameters' columns; return also whose columns they are."""
    columns = ParameterColumns(space)
    every = columns(rows)
    trials = [
        StudyTrials(latents, structure, every[torch.from_numpy(study_index == q)], y)
        for q, (latents, structure, y) in enumerate(studies)
    ]
    return trials, columns.owners


class HyperparameterPredictor:
    """Evaluates the parameters' part of the past studies' posterior means.

    Args:
        past: The past's hyper-parameters.
        X: ``N x P``, the architectures of all studies' trials.
        weights: ``N x C``, how much each trial's study counts in each column of predictions.
        space: The space that is searched now.
    """

    def __init__(
        self, past: PastHyperparameters, X: np.ndarray, weights: Tensor, space: JointSpace
    ) -> None:
        self._known, self._scales = past.hyperparameters, past.scales
        self._space = space
        self._columns = ParameterColumns(JointSpace(space.space, past.hyperparameters))
        self._trials = self._scaled(np.concatenate([X, past.coordinates], axis=1))
        self._alpha = past.alpha.unsqueeze(1) * weights

    def __call__(self, rows: np.ndarray) -> Tensor:
        """Predict for ``n`` rows of the space that is searched: ``n x C``."""
        mine = self._scaled(self._as_past(rows))
        parts = [
            matern(squared_distance(m, self._trials)) @ self._alpha for m in mine.split(_CHUNK)
        ]
        return torch.cat(parts)

    def _scaled(self, rows: np.ndarray) -> Tensor:
        return self._scales.scaled(self._columns(rows), self._columns.owners)

    def _as_past(self, rows: np.ndarray) -> np.ndarray:
        """Convert rows to the past's coordinates; what the space does not have is missing."""
        X, H = self._space.split(rows)
        return np.concatenate([X, self._space.hyperparameters.converted(H, self._known)], axis=1)
