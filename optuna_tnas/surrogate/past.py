"""What the past studies predict on a new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.surrogate.kernel import TransferKernel


USED = 2000  # trials of a study that predict
_VARIANCES, _NOISE = (0.5, 0.5), 0.1  # of a study's GP, for labels of variance 1
_CHUNK = 1024


@dataclass(frozen=True)
class Past:
    """The past's prediction ``mu(x, D)``: the mean of the posterior means of the studies' GPs.

    Each study has a GP of its own, conditioned on its trials. A posterior mean is a sum of
    correlations with the trials, so their mean is one too::

        mu(x, D) = sum_j sum_i w_ji R_j((x, D), (x_i, D_i))

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

    def alone(self) -> Tensor:
        """The weights with which each study predicts for itself: ``J x N x Q``."""
        n_studies = len(self.datasets)
        of_study = torch.from_numpy(self.task[:, None] == np.arange(n_studies))
        return n_studies * self.weights.unsqueeze(-1) * of_study


def study_weights(inputs: Tensor, y: Tensor, n_latents: int) -> Tensor:
    """A study's trials' weights in its own GP's posterior mean: ``2 x n``.

    The scales are not fitted: the deep kernel has seen these very trials, so the evidence would
    leave nothing to the structure and nothing to the noise.

    Args:
        inputs: ``n x d`` float64; the last column, the past's prediction, is not looked at.
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
    """``mu`` of ``n x d`` inputs, from the ``N x d`` of the past: ``n``.

    ``n x Q`` for weights of every study alone, ``J x N x Q``.
    """
    kernel = TransferKernel(n_latents, (1.0, 1.0))
    means = [
        sum(R @ w for R, w in zip(kernel.correlations(chunk, past_inputs), weights, strict=True))
        for chunk in inputs.split(_CHUNK)
    ]
    return torch.cat(means)
