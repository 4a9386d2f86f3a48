"""Gaussian processes on the past studies, whose posterior means predict for a new one.

A study's posterior mean is a sum of correlations with its trials, evaluated at its own data set
``D_q``; how much it counts for another data set ``D`` depends on how the deep kernel correlates
the two::

    mu(x, D) = sum_q r_q(D) mu_q(x),    mu_q(x) = sum_j sum_i alpha_ji R_j((x, D_q), (x_i, D_q))
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.joint_past import condition
from optuna_tnas.surrogate.joint_past import outcomes_of
from optuna_tnas.surrogate.joint_past import PastHyperparameters
from optuna_tnas.surrogate.kernels import gaussian
from optuna_tnas.surrogate.kernels import matern
from optuna_tnas.surrogate.kernels import squared_distance
from optuna_tnas.surrogate.kernels import weighted_correlations
from optuna_tnas.surrogate.outcomes import normal_scores


MAX_TRIALS = 2000  # A study's GP is conditioned on at most this many trials, drawn at random.

# Variances of both kernels and of the noise in a study's GP, for outcomes of variance 1. They are
# not fitted: the deep kernel has seen these very trials, so the evidence would leave nothing to
# the structure and nothing to the noise.
_VARIANCES, _NOISE = (0.5, 0.5), 0.1
# Columns of predictions, each with a weight of its own in a new study. They cost memory and time.
_MAX_COLUMNS = 32
# Added to every similarity, so that studies equally unlike the data set count equally.
_LEAST_SIMILARITY = 0.01


@dataclass(frozen=True)
class PastStudies:
    """Trials of the past studies and their coefficients in the posterior means.

    Attributes:
        X: ``N x P`` int64, architectures of all studies' trials.
        study_index: ``N`` int64, the study that each trial belongs to.
        dataset_encodings: ``Q x K``, phi's encodings of the studies' data sets.
        alpha: ``J x N`` float64, coefficients for both kernels.
        beside: The trials' hyper-parameters, if they had some.
        metrics: ``Q`` positions of the metrics that the studies' outcomes are of, from 0 on; all
            are of one metric unless given.
    """

    X: np.ndarray
    study_index: np.ndarray
    dataset_encodings: Tensor
    alpha: Tensor
    beside: PastHyperparameters | None = None
    metrics: tuple[int, ...] = ()

    @classmethod
    @torch.no_grad()
    def fit(
        cls,
        network: DeepKernelGP,
        structure: StructureEncoder,
        studies: Sequence[tuple[np.ndarray, np.ndarray, DatasetSample | None]],
        beside: tuple[Hyperparameters, Sequence[np.ndarray]] | None = None,
        metrics: Sequence[int] = (),
    ) -> PastStudies:
        """Condition a GP on each past study, under the meta-learned kernel and structure.

        Args:
            network: The meta-trained encoders.
            structure: Counts operations and their neighborhoods.
            studies: ``n x P`` architectures, ``n`` values and the data set of each study.
            beside: Hyper-parameters that some of the studies had, and each study's ``n x H``
                coordinates.
            metrics: Positions of the metrics that the studies' values are of; all are of one
                metric unless given.
        """
        rng = np.random.default_rng(0)
        kept = [np.sort(rng.permutation(len(y))[:MAX_TRIALS]) for _, y, _ in studies]
        X = np.concatenate([X[rows] for (X, _, _), rows in zip(studies, kept, strict=True)])
        index = np.repeat(np.arange(len(kept)), [len(rows) for rows in kept])
        datasets = torch.stack([network.encode_dataset(sample) for _, _, sample in studies])
        scores = [normal_scores(y[rows]) for (_, y, _), rows in zip(studies, kept, strict=True)]
        outcomes = [torch.from_numpy(y) for y in scores]
        joint = None
        if beside is not None:
            known, each = beside
            coordinates = [c[rows] for c, rows in zip(each, kept, strict=True)]
            joint = (known, np.concatenate(coordinates))
        past = cls._conditioned(network, structure, X, index, datasets, outcomes, joint)
        return replace(past, metrics=tuple(metrics))

    @property
    def metric_index(self) -> np.ndarray:
        """Positions of the metrics that the studies' outcomes are of: ``Q`` int64."""
        return np.array(self.metrics or len(self.dataset_encodings) * [0])

    @classmethod
    def _conditioned(
        cls,
        network: DeepKernelGP,
        structure: StructureEncoder,
        X: np.ndarray,
        index: np.ndarray,
        datasets: Tensor,
        outcomes: Sequence[Tensor],
        beside: tuple[Hyperparameters, np.ndarray] | None = None,
    ) -> PastStudies:
        """Condition on each study's outcomes; ``beside`` has ``N x H`` coordinates."""
        encoded = _encoded(network, structure, X, index, datasets)
        studies = [(*parts, y) for parts, y in zip(encoded, outcomes, strict=True)]
        if beside is None:
            alpha = [_coefficients(*study) for study in studies]
            return cls(X, index, datasets.cpu(), torch.cat(alpha, dim=1))
        joint = JointSpace(network.space, beside[0])
        together, past = condition(joint, X, index, beside[1], studies)
        return cls(X, index, datasets.cpu(), together, past)

    @torch.no_grad()
    def outcomes(self, network: DeepKernelGP, structure: StructureEncoder) -> list[Tensor]:
        """Find the outcomes that the coefficients were computed from, under the same kernels."""
        encoded = _encoded(network, structure, self.X, self.study_index, self.dataset_encodings)
        alpha = self.alpha[0] if self.beside is None else self.beside.alpha
        own = [alpha[torch.from_numpy(self.study_index == q)] for q in range(len(encoded))]
        if self.beside is None:
            pairs = zip(encoded, own, strict=True)
            return [_covariance(*parts) @ a / _VARIANCES[0] for parts, a in pairs]
        joint = JointSpace(network.space, self.beside.hyperparameters)
        studies = [(*parts, a) for parts, a in zip(encoded, own, strict=True)]
        return outcomes_of(self.beside, joint, self.X, self.study_index, studies)

    @torch.no_grad()
    def refitted(
        self,
        network: DeepKernelGP,
        structure: StructureEncoder,
        X: np.ndarray,
        outcomes: Sequence[Tensor],
    ) -> PastStudies:
        """Condition on the same trials under other kernels.

        Args:
            network: The encoders.
            structure: Counts operations and their neighborhoods.
            X: ``N x P``, the trials' architectures in the encoders' space.
            outcomes: Of each study, from :meth:`outcomes`.
        """
        joint = (
            None if self.beside is None else (self.beside.hyperparameters, self.beside.coordinates)
        )
        parts = (X, self.study_index, self.dataset_encodings, outcomes, joint)
        return replace(self._conditioned(network, structure, *parts), metrics=self.metrics)

    def state(self) -> dict[str, Any]:
        """Plain data of a checkpoint, in small integers."""
        state = {
            "X": torch.from_numpy(self.X.astype(np.int16)),
            "task": torch.from_numpy(self.study_index.astype(np.int32)),
            "datasets": self.dataset_encodings,
            "weights": self.alpha,
            "metrics": list(self.metrics),
        }
        return state if self.beside is None else {**state, "beside": self.beside.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], network: DeepKernelGP) -> PastStudies:
        """Read :meth:`state` back.

        Raises:
            ValueError: If shapes or values contradict each other or the space.
        """
        X = checked_rows(state["X"].numpy(), network.space)
        index = np.asarray(state["task"].numpy(), dtype=np.int64)
        encodings, alpha = state["datasets"], state["weights"]
        shapes = (index.shape, encodings.shape[1:], alpha.shape)
        if shapes != ((len(X),), (network.config.dataset_dim,), (2, len(X))):
            raise ValueError("past studies of another shape")
        if ((index < 0) | (index >= len(encodings))).any():
            raise ValueError("trials of studies that are not there")
        metrics = tuple(map(int, state.get("metrics", ())))  # of no earlier version
        if len(metrics) not in (0, len(encodings)) or min(metrics, default=0) < 0:
            raise ValueError("metrics of other studies")
        beside = state.get("beside")
        if beside is not None:
            beside = PastHyperparameters.from_state(beside, *X.shape)
        return cls(X, index, encodings, alpha, beside, metrics)


def checked_rows(X: np.ndarray, space: Space) -> np.ndarray:
    """Read architectures of a checkpoint: ``n x P`` int64.

    Raises:
        ValueError: If they are not the space's.
    """
    rows = np.asarray(X, dtype=np.int64)
    if rows.ndim != 2 or (rows < 0).any() or (rows >= space.n_choices).any():
        raise ValueError("architectures outside the space")
    return rows


def _coefficients(latents: Tensor, structure: Tensor, y: Tensor) -> Tensor:
    """``n x M`` scaled latents, ``n x S``, ``n`` outcomes -> ``2 x n``."""
    variances = torch.tensor(_VARIANCES, dtype=y.dtype)
    return torch.outer(variances, torch.linalg.solve(_covariance(latents, structure), y))


def _covariance(latents: Tensor, structure: Tensor) -> Tensor:
    """``n x M`` scaled latents, ``n x S`` -> ``n x n``, noise included."""
    covariance = _NOISE * torch.eye(len(latents)).to(structure)
    covariance += _VARIANCES[0] * matern(squared_distance(latents, latents))
    covariance += _VARIANCES[1] * gaussian(squared_distance(structure, structure))
    return covariance


def _encoded(
    network: DeepKernelGP,
    structure: StructureEncoder,
    X: np.ndarray,
    index: np.ndarray,
    datasets: Tensor,
) -> list[tuple[Tensor, Tensor]]:
    """Scaled latents and structure of each study's trials, on its own data set."""
    trials = _EncodedTrials(network, structure, X)
    return [trials.of(np.flatnonzero(index == q), d) for q, d in enumerate(datasets)]


class _EncodedTrials:
    """Trials encoded once for each distinct architecture: latents on any data set, structure."""

    def __init__(self, network: DeepKernelGP, structure: StructureEncoder, X: np.ndarray) -> None:
        distinct, inverse = np.unique(X, axis=0, return_inverse=True)
        self.place = torch.from_numpy(inverse.ravel())  # N, of each trial among the distinct
        self.structure = structure(distinct)
        self.encoded = network.encode_architectures(distinct)
        self._network = network
        self._lengthscale = network.hyperparameters.lengthscale

    def latents(self, places: Tensor, dataset: Tensor) -> Tensor:
        """Scaled latents of ``m`` distinct architectures on one data set: ``m x M``."""
        encoded = self.encoded[places.to(self.encoded.device)]
        return self._network.latents(encoded, dataset.to(encoded)) / self._lengthscale

    def of(self, rows: np.ndarray, dataset: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled latents and structure of some trials."""
        places = self.place[torch.from_numpy(rows)]
        return self.latents(places, dataset), self.structure[places]


class PastPredictor:
    """Evaluates the past studies' posterior means.

    Studies with the same data-set encoding share their correlations, and all studies share those
    of the structure, since neither depends on anything else.

    Args:
        past: The studies.
        network: The meta-trained encoders.
        structure: Counts operations and their neighborhoods.
    """

    def __init__(
        self, past: PastStudies, network: DeepKernelGP, structure: StructureEncoder
    ) -> None:
        self._network, self._structure = network, structure
        self._lengthscale = network.hyperparameters.lengthscale
        self._trials = _EncodedTrials(network, structure, past.X)
        self._study_index = torch.from_numpy(past.study_index)
        self._encodings = past.dataset_encodings
        self.n_studies = len(past.dataset_encodings)
        self._metric_index = torch.from_numpy(past.metric_index)
        deep, counts = past.alpha
        self._groups = self._group(deep)
        places = torch.arange(len(self._trials.structure))
        self._alpha = self._by_architecture(counts, places, self._all_trials)

    @property
    def _all_trials(self) -> Tensor:
        return torch.arange(len(self._study_index))

    def _by_architecture(self, alpha: Tensor, places: Tensor, trials: Tensor) -> Tensor:
        """Sum coefficients of equal architectures in a study: ``N`` -> ``U x Q``."""
        row = torch.searchsorted(places, self._trials.place[trials])
        sums = torch.zeros(len(places), self.n_studies, dtype=alpha.dtype)
        where = (row, self._study_index[trials])
        return sums.index_put(where, alpha[trials], accumulate=True)

    def _group(self, alpha: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """For each distinct data set: its encoding, trials' scaled latents, studies, alpha."""
        encodings, group = torch.unique(self._encodings, dim=0, return_inverse=True)
        groups = []
        for g, encoding in enumerate(encodings):
            trials = torch.nonzero(group[self._study_index] == g).flatten()
            places = torch.unique(self._trials.place[trials])
            latents = self._trials.latents(places, encoding)
            studies = torch.nonzero(group == g).flatten()
            coefficients = self._by_architecture(alpha, places, trials)[:, studies]
            groups.append((encoding, latents, studies, coefficients))
        return groups

    @torch.no_grad()
    def __call__(self, X: np.ndarray) -> Tensor:
        """Predict the outcomes of ``n x P`` architectures on each past data set: ``n x Q``."""
        each = torch.eye(self.n_studies).double()
        return self.predict(self._network.encode_architectures(X), self._structure(X), each)

    @torch.no_grad()
    def predict(self, encoded: Tensor, structure: Tensor, weights: Tensor) -> Tensor:
        """Predict weighted sums of the past studies' outcomes, each on its own data set.

        Args:
            encoded: ``n x L``, psi's encodings of architectures.
            structure: ``n x S`` of the same.
            weights: ``Q x W`` float64.

        Returns:
            ``n x W`` float64.
        """
        counts = self._alpha @ weights
        sums = weighted_correlations(gaussian, structure, self._trials.structure, counts)
        for encoding, trials, studies, alpha in self._groups:
            latents = self._network.latents(encoded, encoding.to(encoded)) / self._lengthscale
            mine = weights[studies]
            few = len(mine) < mine.shape[1]  # then the product with them is the smaller one
            given = alpha if few else alpha @ mine
            found = weighted_correlations(matern, latents, trials, given)
            sums += found @ mine if few else found
        return sums

    def of_metric(self, metric: int) -> Tensor:
        """Tell which studies' outcomes are of a metric: ``Q`` bool."""
        return self._metric_index == metric

    @property
    def widths(self) -> list[int]:
        """How many columns predict each metric."""
        return self._metric_index.bincount().clamp_max(_MAX_COLUMNS).tolist()

    def weights(self, sample: DatasetSample | None) -> Tensor:
        """Weigh the past studies in the columns of predictions for a data set: ``Q x C`` float64.

        Each study has a column of its own; of more than 32 of one metric, studies share one. The
        metrics' columns are side by side.

        Args:
            sample: A sample of the data set, if known.
        """
        columns = torch.zeros(self.n_studies, sum(self.widths)).double()
        first = 0
        for metric, width in enumerate(self.widths):
            studies = torch.nonzero(self.of_metric(metric)).flatten()
            columns[studies, first + torch.arange(len(studies)) % max(width, 1)] = 1.0
            first += width
        return self.relevance(sample).unsqueeze(1) * columns

    @torch.no_grad()
    def relevance(self, sample: DatasetSample | None) -> Tensor:
        """Weigh the past studies' predictions for a data set: ``Q`` float64 of sum 1 a metric.

        In proportion to the deep kernel's correlation of an architecture on this data set with
        the same one on the study's, averaged over the study's trials. All count alike for an
        unknown data set if every study knows its own: how the unknown one relates to others was
        not learned then.

        Args:
            sample: A sample of the data set, if known.
        """
        unknown = self._network.dataset_encoder.unknown.cpu()
        if sample is None and not (self._encodings == unknown).all(dim=1).any():
            relevance = torch.ones(self.n_studies).double()
        else:
            similarity = self._similarity(self._network.encode_dataset(sample))
            relevance = similarity + _LEAST_SIMILARITY
        totals = [relevance[self.of_metric(m)].sum() for m in range(len(self.widths))]
        return relevance / torch.stack(totals)[self._metric_index]

    @torch.no_grad()
    def similarities(self, sample: DatasetSample | None = None) -> Tensor:
        """Compare data sets as :meth:`relevance` does, the past studies' own and one more.

        Args:
            sample: A sample of the other data set, if known.

        Returns:
            ``Q x Q`` float64, or ``(Q + 1) x Q`` with the sample in the last row: correlations
            of the row's data set with the column's, averaged over the column's trials; 1 where
            they are the same to the deep kernel.
        """
        datasets = [*self._encodings]
        if sample is not None:
            datasets.append(self._network.encode_dataset(sample))
        return torch.stack([self._similarity(dataset) for dataset in datasets])

    def _similarity(self, dataset: Tensor) -> Tensor:
        """Correlate ``K``, an encoded data set, with each past study's: ``Q`` float64."""
        everywhere = torch.arange(len(self._trials.structure))
        here = self._trials.latents(everywhere, dataset)[self._trials.place]
        similarity = torch.zeros(self.n_studies).double()
        for q, encoding in enumerate(self._encodings):
            trials = torch.nonzero(self._study_index == q).flatten()
            there = self._trials.latents(self._trials.place[trials], encoding)
            similarity[q] = matern((here[trials] - there).square().sum(dim=-1)).mean()
        return similarity
