"""What MetaD2A's two networks share: their sizes, the encoders, and the pairs they learn from."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optuna_tnas import Config
from optuna_tnas import DatasetSample
from optuna_tnas import MetaDataset
from optuna_tnas.meta.training import set_feature_scale
from optuna_tnas.meta.training import untrained
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.outcomes import scale_labels


@dataclass(frozen=True)
class Learning:
    """Sizes of a network and how it is trained by Adam.

    Attributes:
        hidden: Width of the recurrent states and of hidden layers.
        latent: Width of phi's attention blocks and of all encodings; a multiple of 4.
        rate: Adam's learning rate.
        epochs: Passes over the pairs.
        batch: Pairs in a mini-batch.
    """

    hidden: int
    latent: int
    rate: float
    epochs: int
    batch: int = 32


def encoders(past: MetaDataset, learning: Learning, seed: int) -> DeepKernelGP:
    """Build psi and phi for the past's space and data sets; the kernel beside them is unused."""
    config = Config(
        architecture_hidden=learning.hidden,
        architecture_dim=learning.latent,
        dataset_width=learning.latent,
        dataset_dim=learning.latent,
    )
    surrogate = untrained(past, config, seed)
    set_feature_scale(surrogate, past)
    return surrogate.network.requires_grad_(True)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw the weights of new layers from a seed; PyTorch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Pairs:
    """Architectures, each on one of the past data sets.

    Attributes:
        datasets: One of each past study.
        index: ``n`` int64, whose data set each pair has.
        X: ``n x P`` int64 architectures.
        y: ``n`` labels, standardized within a study, higher is better.
    """

    datasets: Sequence[DatasetSample | None]
    index: np.ndarray
    X: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, past: MetaDataset, best: int | None = None) -> Pairs:
        """All trials of the past studies, or the ``best`` of each."""
        kept = [np.argsort(-task.y, kind="stable")[:best] for task in past.tasks]
        chosen = list(zip(past.tasks, kept, strict=True))
        return cls(
            [task.dataset for task in past.tasks],
            np.repeat(np.arange(len(kept)), [len(rows) for rows in kept]),
            np.concatenate([task.X[rows] for task, rows in chosen]),
            np.concatenate([scale_labels(task.y)[rows] for task, rows in chosen]),
        )

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: np.ndarray) -> Pairs:
        """The pairs at these positions."""
        return Pairs(self.datasets, self.index[rows], self.X[rows], self.y[rows])

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[Pairs]:
        """Yield all pairs once in a random order, ``size`` at a time."""
        order = rng.permutation(len(self))
        for start in range(0, len(self), size):
            yield self.take(order[start : start + size])

    def encoded_datasets(self, network: DeepKernelGP, rng: np.random.Generator) -> Tensor:
        """Encode each pair's data set by phi: ``n x K``; a data set's points are drawn once."""
        studies, of_pair = np.unique(self.index, return_inverse=True)
        encoded = network.encode_datasets([self.datasets[q] for q in studies], rng)
        return encoded[torch.from_numpy(of_pair)]
