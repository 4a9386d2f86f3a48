"""BANANAS (White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures
for Neural Architecture Search", AAAI 2021).

An ensemble of networks predicts the value from the path encoding: which sequences of operations
lead from input to output. Each candidate's value is drawn from the normal distribution of the
predictions (independent Thompson sampling), and the best draws are next.

Settings, from the authors' code (github.com/naszilla/naszilla): 10 random architectures first;
batches of 10, so that the networks are trained anew after every tenth evaluation; 5 networks of 10
layers of 20; 150 epochs in mini-batches of 32 by Adam (0.01; 0.9, 0.99) on the mean absolute
error; 100 candidates, mutants of the best and, where these repeat, of the next four.

Other than there: the values are standardized, because not all tables have errors between 0 and
100; all paths count, not the 30 shortest; a mutant differs in one choice, as in the paper, not in
1.5 on average; a space that is too large to be listed has its choices one-hot in place of paths.

Check, `--space nasbench201 --target c10 --seeds 5 --trials 100`, and the report's `--tasks`: test
accuracy 93.90 after 50 and 94.12 after 100 evaluations. Published (TNAS's authors): 94.37 after
46, which is not reached; the network of the best validation accuracy has 94.30.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from optuna.samplers import BaseSampler
import torch

from benchmarks.peers import Setting
from benchmarks.peers._mutation import mutants_of_best
from benchmarks.peers._mutation import untried
from benchmarks.peers._one_hot import one_hot
from benchmarks.peers._sequential import random_initial
from benchmarks.peers._sequential import SequentialSampler
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.graphs import GraphBatch


BATCH = 10
CANDIDATES = 100
PARENTS = 5
NETWORKS = 5
LAYERS = 10
WIDTH = 20
EPOCHS = 150
MINIBATCH = 32
RATE = 0.01

Layers = list[tuple[torch.Tensor, torch.Tensor]]  # weights NETWORKS x in x out, biases


def sampler(setting: Setting) -> BaseSampler:
    initial = random_initial(setting.space, BATCH, setting.seed)
    propose = Bananas(setting.space, setting.seed)
    return SequentialSampler(setting.space, propose, initial, setting.seed)


class Bananas:
    """Hands out batches of ten, each chosen by networks trained on the batches before it."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._batch: tuple[bytes, np.ndarray] | None = None  # the last one, and made from what

    def __call__(self, X: np.ndarray, y: np.ndarray, _: np.random.Generator) -> np.ndarray:
        n = len(X) - len(X) % BATCH
        trained_on = X[:n].tobytes() + y[:n].tobytes()
        if self._batch is None or self._batch[0] != trained_on:
            rng = np.random.default_rng([self._seed, n])
            self._batch = trained_on, _batch(self._space, X[:n], y[:n], rng)
        return np.asarray(self._batch[1][len(X) - n])


def _batch(space: Space, X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose ``BATCH x P`` candidates by independent Thompson sampling of their values."""
    pool = _candidates(space, X, y, rng)
    inputs = encode(space, np.concatenate([X, pool]))
    values = _predictions(inputs[: len(X)], y, inputs[len(X) :], int(rng.integers(1 << 31)))
    samples = rng.normal(values.mean(axis=0), values.std(axis=0))
    return pool[np.argsort(-samples, kind="stable")[:BATCH]]


def _candidates(
    space: Space, X: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    mutants = mutants_of_best(space, X, y, rng, n_parents=PARENTS, n_each=CANDIDATES)
    if len(mutants) < BATCH:  # nearly all around the best was tried
        mutants = untried(np.concatenate([mutants, space.sample(CANDIDATES, rng)]), X)
    if len(mutants) < BATCH:  # a tiny space that was tried whole
        mutants = np.concatenate([mutants, space.sample(BATCH, rng)])
    return mutants[:CANDIDATES]


# --- encoding -------------------------------------------------------------------------------


def encode(space: Space, X: np.ndarray) -> np.ndarray:
    """Encode ``n x D`` zeros and ones: paths, or in a large space choices.

    A space that is too large to be listed has about as many paths as architectures.
    """
    return path_encoding(space.to_graphs(X)) if space.enumerable else one_hot(space, X)


def path_encoding(graphs: GraphBatch) -> np.ndarray:
    """Encode ``B x D``: which sequences of operations lead from input to output.

    Sequences that no graph of the batch has are left out, because they are zero in all.
    """
    paths = [_paths(ops, adjacency) for ops, adjacency in zip(*_plain(graphs), strict=True)]
    every = sorted(set().union(*paths))
    return np.array([[path in own for path in every] for own in paths], dtype=np.float64)


def _plain(graphs: GraphBatch) -> tuple[list[list[int]], list[list[list[int]]]]:
    """List operations and, for each slot, the slots that it reads."""
    reads = [[np.flatnonzero(into).tolist() for into in a.T] for a in graphs.adjacency]
    return graphs.ops.tolist(), reads


def _paths(ops: list[int], reads: list[list[int]]) -> set[tuple[int, ...]]:
    to: list[set[tuple[int, ...]]] = [{()}]
    for v in range(1, len(ops)):
        to.append({(*path, ops[v]) for u in reads[v] for path in to[u]})
    return to[-1]


# --- the ensemble ---------------------------------------------------------------------------


def _predictions(
    inputs: np.ndarray, values: np.ndarray, new_inputs: np.ndarray, seed: int
) -> np.ndarray:
    """Train the networks on the values and predict new inputs: ``NETWORKS x m``."""
    mean, deviation = values.mean(), max(values.std(), 1e-12)
    targets = torch.from_numpy((values - mean) / deviation).float()
    generator = torch.Generator().manual_seed(seed)
    layers = _untrained(inputs.shape[1], generator)
    _train(layers, torch.from_numpy(inputs).float(), targets, generator)
    with torch.no_grad():
        predicted = _forward(layers, torch.from_numpy(new_inputs).float())
    return np.asarray(mean + deviation * predicted.double().numpy())


def _untrained(n_inputs: int, generator: torch.Generator) -> Layers:
    """Draw Glorot's weights, without which ten layers let nothing through; biases are 0."""
    sizes = [n_inputs, *[WIDTH] * LAYERS, 1]
    layers = []
    for before, after in pairwise(sizes):
        bound = (6 / (before + after)) ** 0.5
        weights = torch.rand(NETWORKS, before, after, generator=generator) * 2 * bound - bound
        layers.append((weights.requires_grad_(), torch.zeros(NETWORKS, 1, after).requires_grad_()))
    return layers


def _forward(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    """Predict ``NETWORKS x n`` from ``n x D``, or each network's own ``NETWORKS x n x D``."""
    h = x.expand(NETWORKS, *x.shape[-2:])
    for weights, biases in layers[:-1]:
        h = torch.baddbmm(biases, h, weights).relu()
    weights, biases = layers[-1]
    return torch.baddbmm(biases, h, weights)[:, :, 0]


def _train(
    layers: Layers, inputs: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
) -> None:
    """Train all networks at once; each sees the data in an order of its own."""
    tensors = [tensor for layer in layers for tensor in layer]
    optimizer = torch.optim.Adam(tensors, lr=RATE, betas=(0.9, 0.99))
    for _ in range(EPOCHS):
        order = torch.rand(NETWORKS, len(inputs), generator=generator).argsort(dim=1)
        for rows in order.split(MINIBATCH, dim=1):
            optimizer.zero_grad()
            errors = _forward(layers, inputs[rows]) - targets[rows]
            errors.abs().mean(dim=1).sum().backward()  # each network minimizes its own mean
            optimizer.step()
