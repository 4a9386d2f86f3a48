"""MetaD2A's generator: draws architectures like those that were good on like data sets."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch import Tensor

from benchmarks.peers._datasets import encoders
from benchmarks.peers._datasets import Learning
from benchmarks.peers._datasets import Pairs
from benchmarks.peers._datasets import seeded
from optuna_tnas import DatasetSample
from optuna_tnas import MetaDataset
from optuna_tnas.surrogate.numerics import controlled_numerics


N_BEST = 10  # architectures of each past study that count as good
N_DRAWS = 10  # samples of a data set's points, with a z each
_NOISE = 0.01  # of z in training, in standard deviations
_KL_WEIGHT = 0.005


class Generator(nn.Module):
    """``phi(D)`` -> z -> a GRU that chooses one parameter after the other.

    All parameters' choices have one numbering, so that a choice tells its parameter.

    Args:
        past: Its space and data sets shape the network.
        learning: Sizes.
        seed: Seed of the initial weights.
    """

    def __init__(self, past: MetaDataset, learning: Learning, seed: int) -> None:
        super().__init__()
        self.space = past.space
        self.encoders = encoders(past, learning, seed)
        n_choices = torch.from_numpy(past.space.n_choices)
        self.n_all = int(n_choices.sum())
        self.first = n_choices.cumsum(0) - n_choices  # P, the numbers of the first choices
        owner = torch.repeat_interleave(torch.arange(len(n_choices)), n_choices)
        self.others = owner != torch.arange(len(n_choices))[:, None]  # P x all, no choice of it
        with seeded(seed):
            self.posterior = nn.Linear(learning.latent, 2 * learning.latent)
            self.start = nn.Linear(learning.latent, learning.hidden)
            self.embed = nn.Embedding(self.n_all + 1, learning.hidden)  # the last: no choice yet
            self.walk = nn.GRU(learning.hidden, learning.hidden, batch_first=True)
            self.score = nn.Linear(learning.hidden, self.n_all)

    def log_likelihood(self, z: Tensor, X: np.ndarray) -> Tensor:
        """Log probability of each of ``n x P`` architectures given its ``n x latent`` z: ``n``."""
        chosen = torch.from_numpy(X) + self.first
        read = torch.cat([torch.full_like(chosen[:, :1], self.n_all), chosen[:, :-1]], dim=1)
        states, _ = self.walk(self.embed(read), torch.tanh(self.start(z))[None])
        logits = self.score(states).masked_fill(self.others, -torch.inf)
        of_chosen = logits.log_softmax(dim=-1).gather(-1, chosen[..., None])
        total: Tensor = of_chosen.sum(dim=(1, 2))
        return total

    def sample(self, z: Tensor, rng: np.random.Generator) -> np.ndarray:
        """Draw one architecture for each of ``n x latent`` z: ``n x P``."""
        state, columns = torch.tanh(self.start(z))[None], []
        chosen = torch.full((len(z),), self.n_all)
        for first, others in zip(self.first, self.others, strict=True):
            states, state = self.walk(self.embed(chosen)[:, None], state)
            logits = self.score(states[:, 0]).masked_fill(others, -torch.inf)
            gumbel = torch.from_numpy(rng.gumbel(size=logits.shape))
            chosen = (logits + gumbel).argmax(dim=-1)
            columns.append(chosen - first)
        return self.space.canonical(torch.stack(columns, dim=1).numpy())

    def draw(self, dataset: DatasetSample, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x P`` architectures for a data set, whose points are drawn ten times."""
        with controlled_numerics(), torch.no_grad():
            encoded = self.encoders.encode_datasets([dataset] * N_DRAWS, rng)
            mean, _ = self.posterior(encoded).chunk(2, dim=-1)
            return self.sample(mean[torch.arange(n) % N_DRAWS], rng)


def train_generator(
    generator: Generator, past: MetaDataset, learning: Learning, seed: int
) -> None:
    """Maximize the likelihood of the ten best architectures of each past study."""
    rng = np.random.default_rng(seed)
    pairs = Pairs.of(past, N_BEST)
    optimizer = torch.optim.Adam(generator.parameters(), lr=learning.rate)
    with controlled_numerics():
        for _ in range(learning.epochs):
            for batch in pairs.batches(learning.batch, rng):
                optimizer.zero_grad()
                loss(generator, batch, rng).backward()
                optimizer.step()


def loss(generator: Generator, pairs: Pairs, rng: np.random.Generator) -> Tensor:
    """Negative log likelihood plus .005 times the KL divergence of z from N(0, 1), per pair."""
    encoded = pairs.encoded_datasets(generator.encoders, rng)
    mean, log_variance = generator.posterior(encoded).chunk(2, dim=-1)
    noise = torch.from_numpy(rng.normal(scale=_NOISE, size=mean.shape)).float()
    z = mean + noise * (log_variance / 2).exp()
    kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=-1) / 2
    each: Tensor = _KL_WEIGHT * kl - generator.log_likelihood(z, pairs.X)
    return each.mean()
