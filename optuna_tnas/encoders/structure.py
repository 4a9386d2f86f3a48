"""What a network is made of, as a vector: the part of the kernel that learned nothing.

Counted subgraphs after Shervashidze et al., "Weisfeiler-Lehman graph kernels" (JMLR 2011), which
NAS-BOWL (Ru et al., ICLR 2021) searches with, beside the choices themselves.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.spaces import Space
from optuna_tnas.spaces.graphs import mix


# Squared lengthscale of the kernel on these vectors of length 1: two networks with nothing in
# common, at a squared distance of 2, are correlated by exp(-2 / 0.6) = 0.04.
SQUARED_LENGTHSCALE = 0.3

_N_BUCKETS = 256
_N_REFERENCE = 2048
_MANY_CHOICES = 1024  # of all parameters together; a quarter of the reference has to do then
_MAX_WIDTH = 128
_LEAST_VARIANCE = 1e-12  # of a principal component, relative to the first: below is rounding


class StructureEncoder:
    """Maps architectures to vectors whose normalized products are the mean of four similarities.

    These are the cosines between two networks' counts of operations, of operations with their
    inputs, of operations with their inputs and readers, and between the choices. Counts are of
    the network without its dead operations. Principal components of a fixed sample of the space
    keep the vectors short.

    Args:
        space: The search space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        n = _N_REFERENCE if space.n_choices.sum() <= _MANY_CHOICES else _N_REFERENCE // 4
        reference = space.sample(n, np.random.default_rng(0))
        # Few of a small space's buckets.
        self._used = [np.flatnonzero(b.any(axis=0)) for b in self._blocks(reference)]
        variances, axes = _components(self._counts(reference))
        width = min(_MAX_WIDTH, int((variances > _LEAST_VARIANCE * variances[-1]).sum()))
        self._axes = axes.flip(1)[:, :width] / SQUARED_LENGTHSCALE**0.5

    @property
    def width(self) -> int:
        """Of a vector."""
        return int(self._axes.shape[1])

    def __call__(self, X: np.ndarray) -> Tensor:
        """``n x P`` -> ``n x width`` float64, for a kernel of lengthscale 1."""
        return self._counts(X) @ self._axes

    def _counts(self, X: np.ndarray) -> Tensor:
        """Unit vectors ``n x c`` in the columns that are used."""
        used = [b[:, columns] for b, columns in zip(self._blocks(X), self._used, strict=True)]
        return torch.from_numpy(np.concatenate(used, axis=1) / len(used) ** 0.5)

    def _blocks(self, X: np.ndarray) -> list[np.ndarray]:
        """The four parts, each ``n x its own width`` of unit vectors."""
        graphs = self._space.to_graphs(X).pruned()
        ops = graphs.colors()
        colors = [ops, graphs.refined(ops, readers=False), graphs.refined(ops)]
        return [*(_hashed(c, graphs.present) for c in colors), self._one_hot(X)]

    def _one_hot(self, X: np.ndarray) -> np.ndarray:
        """Choices, inactive ones too, as a unit vector."""
        choices = [codes[X[:, p]] for p, codes in enumerate(self._codes)]
        return np.asarray(np.concatenate(choices, axis=1) / len(choices) ** 0.5)

    @cached_property
    def _codes(self) -> list[np.ndarray]:
        return [_codes(len(p.choices), p.ordered) for p in self._space.parameters]


def _components(part: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variances and axes of ``n x c``, ascending, by the smaller of two matrices."""
    if len(part) >= part.shape[1]:
        variances, axes = torch.linalg.eigh(part.mT @ part)
        return variances, axes
    variances, weights = torch.linalg.eigh(part @ part.mT)
    return variances, part.mT @ weights / variances.clamp_min(1e-300).sqrt()


def _codes(n: int, ordered: bool) -> np.ndarray:
    """Unit vectors of a parameter's choices: ``n x n``.

    Their products are 0 between different choices; between ordered ones they fall off with the
    distance, ``exp(-3 |i - j| / n)``.
    """
    if not ordered:
        return np.eye(n)
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.asarray(np.linalg.cholesky(np.exp(-3.0 * distance / n)))


def _hashed(colors: np.ndarray, present: np.ndarray) -> np.ndarray:
    """``n x buckets``: how often each color occurs, as a unit vector.

    Colors share buckets with random signs (Weinberger et al., "Feature hashing for large scale
    multitask learning", ICML 2009), so products are right on average.
    """
    hashes = mix(colors, salt=7)
    signs = np.where(hashes >> np.uint64(63), -1.0, 1.0) * present
    buckets = (hashes % np.uint64(_N_BUCKETS)).astype(np.int64)
    buckets += np.arange(len(colors))[:, None] * _N_BUCKETS
    size = len(colors) * _N_BUCKETS
    counts = np.bincount(buckets.ravel(), weights=signs.ravel(), minlength=size)
    counts = counts.reshape(-1, _N_BUCKETS)
    norms = np.sqrt(np.einsum("ij,ij->i", counts, counts))  # faster than np.linalg.norm
    return np.asarray(counts / np.maximum(norms, 1e-9)[:, None])
