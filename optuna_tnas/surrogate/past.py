"""What the past studies predict on a new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.surrogate.kernels import matern
from optuna_tnas.surrogate.kernels import TransferKernel


USED = 2000  # trials of a study that predict
_VARIANCES, _NOISE = (0.5, 0.5), 0.1  # of a study's GP, for labels of variance 1
_CHUNK = 1024
# What an architecture of the start must add to the best that the past studies predict, in the
# mean over them and in standard deviations of a study's labels.
_WORTHWHILE = 0.2


@dataclass(frozen=True)
class Past:
    """What predicts on a new study: ``mu(x, D)``, from a GP of its own for each past study.

    A study's posterior mean is a sum of correlations with its trials, and it is asked at its own
    data set ``D_q``, where it learned; how much it counts on the new one depends on how alike the
    deep kernel finds the two::

        mu(x, D) = sum_q r_q(D) sum_j sum_i w_ji R_j((x, D_q), (x_i, D_q))

    The new study's trials then weigh the terms of the outer sum.

    Attributes:
        X: ``N x P`` int64, architectures of all studies' trials.
        task: ``N`` int64, which study each is of.
        datasets: ``Q x K``, phi's encoding of the studies' data sets.
        weights: ``J x N`` float64.
    """

    X: np.ndarray
    task: np.ndarray
    datasets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class PastStudy:
    """One study of them, encoded.

    Attributes:
        dataset: ``K``, phi's encoding of its data set.
        encoded: ``n x L``, psi's of its trials.
        inputs: ``n x d`` of its trials on its data set.
        weights: ``J x n``.
    """

    dataset: Tensor
    encoded: Tensor
    inputs: Tensor
    weights: Tensor


def study_weights(inputs: Tensor, y: Tensor, n_latents: int) -> Tensor:
    """A study's trials' weights in its own GP's posterior mean: ``2 x n``.

    The scales are not fitted: the deep kernel has seen these very trials, so the evidence would
    leave nothing to the structure and nothing to the noise.

    Args:
        inputs: ``n x d`` float64, latents and structure.
        y: ``n`` float64 labels of mean 0 and variance 1.
        n_latents: How many of an input's columns are latents.
    """
    kernel = TransferKernel(n_latents, _VARIANCES).double()
    parts = zip(kernel.variances, kernel.correlations(inputs, inputs), strict=True)
    signal = sum(v * R for v, R in parts)
    noise = _NOISE * torch.eye(len(y), dtype=y.dtype)
    return torch.outer(kernel.variances, torch.linalg.solve(signal + noise, y))


@torch.no_grad()
def predict(inputs: Tensor, past_inputs: Tensor, weights: Tensor, n_latents: int) -> Tensor:
    """A study's posterior mean at ``m x d`` inputs, from its ``n x d`` and ``J x n``: ``m``."""
    kernel = TransferKernel(n_latents, (1.0, 1.0))
    means = [
        sum(R @ w for R, w in zip(kernel.correlations(chunk, past_inputs), weights, strict=True))
        for chunk in inputs.split(_CHUNK)
    ]
    return torch.cat(means)


def likeness(latents: Tensor, inputs: Tensor, n_latents: int) -> Tensor:
    """Mean correlation under the deep kernel of ``n x M`` scaled latents, row by row, with inputs.

    Args:
        latents: A study's trials, had they been on another data set.
        inputs: ``n x d`` of the same trials.
        n_latents: M.
    """
    distance = torch.linalg.vector_norm(latents - inputs[:, :n_latents], dim=-1)
    return matern(distance).mean()


def start_size(predicted: Tensor) -> int:
    """How many of the warm-start set to try before the trials decide: 1 if the studies agree.

    Args:
        predicted: ``w x Q``, what each study predicts for the set, whose order is kept; w >= 1.
    """
    covered = predicted.cummax(dim=0).values.mean(dim=1)
    worthwhile = covered.diff() > _WORTHWHILE
    return 1 + int(worthwhile.long().cumprod(dim=0).sum())
