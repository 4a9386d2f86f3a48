"""MetaD2A: candidates generated for the data set, tried in the order of a predictor.

Lee, Hyung and Hwang, "Rapid Neural Architecture Search by Learning to Generate Graphs from
Datasets" (ICLR 2021). Both networks read the data set's points and learn from the past alone;
there is no feedback from the trials. The generator's 500 different networks (in a space that is a
list of measured architectures, that list) are tried in the order of the mean prediction over 10
draws of the data set's points, as the authors of TNAS let it search.

As published: the widths (56 latent, 512 hidden in the predictor), the losses and their weights,
the predictor's rate and batches, and which of its epochs is kept. Ours to choose were:

- the encoders, which are this package's psi and phi, and data sets as the package describes them;
- labels scaled within each past study, not standardized over all of them;
- 40 epochs in place of 400, and in the generator 50 of rate 1e-3, since the past is smaller;
- good architectures, which are the ten best of each past study;
- the generator's steps: a GRU over the space's choices, since all networks of NAS-Bench-201 have
  the same edges in the published one.

With a dozen past data sets, how much the generator depends on the data set can hardly be tested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from zlib import crc32

import numpy as np
from optuna.samplers import BaseSampler
import torch
from torch import nn

from benchmarks.common.networks import distinct
from benchmarks.peers import Setting
from benchmarks.peers._datasets import Learning
from benchmarks.peers._generator import Generator
from benchmarks.peers._generator import train_generator
from benchmarks.peers._predictor import Predictor
from benchmarks.peers._predictor import train_predictor
from benchmarks.peers._sequential import best_first
from optuna_tnas import MetaDataset
from optuna_tnas.files import replacing
from optuna_tnas.spaces import Space
from optuna_tnas.spaces import SubsetSpace


PREDICTOR = Learning(hidden=512, latent=56, rate=1e-4, epochs=40)
GENERATOR = Learning(hidden=56, latent=56, rate=1e-3, epochs=50)
N_CANDIDATES = 500
_MAX_ROUNDS = 20  # of N_CANDIDATES draws

Network = TypeVar("Network", bound=nn.Module)


def sampler(setting: Setting) -> BaseSampler:
    pool = candidates(setting)
    return best_first(setting.space, pool, predicted(setting, pool), setting.seed)


def predicted(setting: Setting, X: np.ndarray) -> np.ndarray:
    """Predict ``n x P`` architectures on the setting's data set: ``n``, higher is better."""
    assert setting.dataset is not None
    network = _learned(setting, PREDICTOR, Predictor, train_predictor)
    rng = np.random.default_rng([setting.seed, 0])
    return np.asarray(network.predict(X, setting.dataset, rng))


def candidates(setting: Setting) -> np.ndarray:
    """Generate at most 500 different networks, ``m x P``; in a listed space, all that it has."""
    assert setting.dataset is not None
    space = setting.space
    if isinstance(space, SubsetSpace):
        return space.enumerate()
    generator = _learned(setting, GENERATOR, Generator, train_generator)
    rng = np.random.default_rng([setting.seed, 1])
    drawn = np.empty((0, len(space.parameters)), dtype=np.int64)
    for _ in range(_MAX_ROUNDS):
        new = generator.draw(setting.dataset, N_CANDIDATES, rng)
        drawn = different(space, np.concatenate([drawn, new]))
        if len(drawn) >= N_CANDIDATES:
            break
    return drawn[:N_CANDIDATES]


def different(space: Space, X: np.ndarray) -> np.ndarray:
    """Keep the first architecture of each network that has a path from input to output."""
    adjacency = space.to_graphs(X).pruned().adjacency
    return distinct(space, X[adjacency[:, :, -1].any(axis=1)])


def _learned(
    setting: Setting,
    learning: Learning,
    build: Callable[[MetaDataset, Learning, int], Network],
    train: Callable[[Network, MetaDataset, Learning, int], None],
) -> Network:
    """Train a network on the setting's past, or read it from the cache."""
    past = MetaDataset.from_studies(setting.history, setting.space, datasets=setting.samples)
    network = build(past, learning, setting.seed)
    name = f"metad2a-{type(network).__name__.lower()}"
    path = setting.cache / f"{name}-{crc32(repr(learning).encode()):08x}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        train(network, past, learning, setting.seed)
        with replacing(path) as file:
            torch.save(network.state_dict(), file)
    network.load_state_dict(torch.load(path))
    return network
