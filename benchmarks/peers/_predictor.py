"""MetaD2A's predictor: the outcome of an architecture from its encoding and its data set's."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import nn
from torch import Tensor
from torch.nn.functional import mse_loss

from benchmarks.peers._datasets import encoders
from benchmarks.peers._datasets import Learning
from benchmarks.peers._datasets import Pairs
from benchmarks.peers._datasets import seeded
from optuna_tnas import DatasetSample
from optuna_tnas import MetaDataset
from optuna_tnas.surrogate.numerics import controlled_numerics


N_DRAWS = 10  # samples of a data set's points that a prediction is the mean of
_MAX_HELD_OUT = 400


class Predictor(nn.Module):
    """``Linear(tanh(Linear([phi(D), psi(x)])))``.

    Args:
        past: Its space and data sets shape the encoders.
        learning: Sizes.
        seed: Seed of the initial weights.
    """

    def __init__(self, past: MetaDataset, learning: Learning, seed: int) -> None:
        super().__init__()
        self.encoders = encoders(past, learning, seed)
        with seeded(seed):
            self.layers = nn.Sequential(
                nn.Linear(2 * learning.latent, learning.hidden),
                nn.Tanh(),
                nn.Linear(learning.hidden, 1),
            )

    def forward(self, datasets: Tensor, architectures: Tensor) -> Tensor:
        """Predict from encodings: ``n x K`` and ``n x L`` -> ``n``."""
        predicted: Tensor = self.layers(torch.cat([datasets, architectures], dim=-1))
        return predicted.squeeze(-1)

    def of_pairs(self, pairs: Pairs, rng: np.random.Generator) -> Tensor:
        """Predict the labels of pairs: ``n``; ``rng`` draws the data sets' points."""
        datasets = pairs.encoded_datasets(self.encoders, rng)
        return self.forward(datasets, self.encoders.encode_architectures(pairs.X))

    def predict(self, X: np.ndarray, dataset: DatasetSample, rng: np.random.Generator) -> Tensor:
        """Predict ``n x P`` architectures on one data set, the mean of 10 draws of its points."""
        with controlled_numerics(), torch.no_grad():
            architectures = self.encoders.encode_architectures(X)
            drawn = self.encoders.encode_datasets([dataset] * N_DRAWS, rng)
            each = [self(d.expand(len(X), -1), architectures) for d in drawn]
            return torch.stack(each).mean(dim=0)


def train_predictor(
    predictor: Predictor, past: MetaDataset, learning: Learning, seed: int
) -> None:
    """Fit past labels by least squares, of which the best epoch's weights are kept.

    That is the one with the highest correlation on held-out pairs. A data set's points are drawn
    anew for each mini-batch (the authors do so for each pair).
    """
    rng = np.random.default_rng(seed)
    held_out, trained_on = hold_out(Pairs.of(past), rng)
    optimizer = torch.optim.Adam(predictor.parameters(), lr=learning.rate)
    best, weights = -np.inf, predictor.state_dict()
    with controlled_numerics():
        for _ in range(learning.epochs):
            for batch in trained_on.batches(learning.batch, rng):
                optimizer.zero_grad()
                labels = torch.from_numpy(batch.y).float()
                mse_loss(predictor.of_pairs(batch, rng), labels).backward()
                optimizer.step()
            if (found := correlation(predictor, held_out)) >= best:
                best, weights = found, deepcopy(predictor.state_dict())
    predictor.load_state_dict(weights)


def hold_out(pairs: Pairs, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Split off a tenth of the pairs at random, at most 400."""
    order = rng.permutation(len(pairs))
    n = min(_MAX_HELD_OUT, len(pairs) // 10)
    return pairs.take(order[:n]), pairs.take(order[n:])


@torch.no_grad()
def correlation(predictor: Predictor, pairs: Pairs) -> float:
    """Correlate predictions with labels (Pearson); -1 where there are too few to tell."""
    predicted = predictor.of_pairs(pairs, np.random.default_rng(0))
    both = torch.stack([predicted, torch.from_numpy(pairs.y).float()])
    return float(torch.corrcoef(both)[0, 1].nan_to_num(nan=-1.0)) if len(pairs) > 1 else -1.0
