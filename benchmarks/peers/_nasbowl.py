"""NASBOWL's surrogate and acquisition; nasbowl.py says where they and their settings are from."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor
from scipy.linalg import cho_solve
from scipy.stats import norm

from benchmarks.peers._mutation import mutants_of_best
from benchmarks.peers._mutation import untried
from benchmarks.peers._wl import normalized_kernel
from benchmarks.peers._wl import subtree_counts
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.graphs import ABSENT
from optuna_tnas.spaces.graphs import GraphBatch


POOL = 200
PARENTS = 10
HEIGHTS = (0, 1, 2)
NOISES = np.geomspace(1e-5, 1e-2, 13)
SKIPS = ("skip_connect", "skip")


class Nasbowl:
    """Chooses the candidate of the largest expected improvement."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def __call__(self, X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        pool = self._pool(X, y, rng)
        graphs = _computing(self._space, np.concatenate([X, pool]))
        z = _standardized(_log_accuracy(y))
        mean, deviation = _posterior(*_fitted(subtree_counts(graphs, max(HEIGHTS)), z), z)
        return np.asarray(pool[_expected_improvement(mean, deviation, z.max()).argmax()])

    def _pool(self, X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mutants of the best, filled up with random architectures."""
        n_each = POOL // PARENTS
        mutants = mutants_of_best(self._space, X, y, rng, n_parents=PARENTS, n_each=n_each)
        random = self._space.sample(POOL - len(mutants), rng)
        new = untried(np.concatenate([mutants, random]), X)
        return new if len(new) else random  # a tiny space that was tried whole


def _computing(space: Space, X: np.ndarray) -> GraphBatch:
    """The graphs of the operations that compute: who reads a skip reads what it reads."""
    graphs = space.to_graphs(X).pruned()
    ops, adjacency = graphs.ops.copy(), graphs.adjacency.copy()
    skips = [i for op, i in space.vocabulary.items() if op in SKIPS]
    for v in range(ops.shape[1]):
        skip = np.isin(ops[:, v], skips)
        around = adjacency[:, :, v, None] & adjacency[:, v, None, :]
        adjacency |= around & skip[:, None, None]
        adjacency[skip, v, :] = adjacency[skip, :, v] = False
        ops[skip, v] = ABSENT
    return GraphBatch(ops, adjacency)


def _log_accuracy(y: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the error, for values that are percentages."""
    return -np.log(100.0 - y) if y.max() < 100.0 else y


def _standardized(y: np.ndarray) -> np.ndarray:
    return np.asarray((y - y.mean()) / max(y.std(), 1e-12))


def _fitted(counts: list[np.ndarray], z: np.ndarray) -> tuple[np.ndarray, float]:
    """The kernel of the height, and the noise, under which the values are the most likely."""
    fits = []
    for height in HEIGHTS:
        kernel = normalized_kernel(counts[: height + 1])
        likelihoods = _log_likelihoods(kernel[: len(z), : len(z)], z)
        best = int(likelihoods.argmax())
        fits.append((likelihoods[best], kernel, float(NOISES[best])))
    _, kernel, noise = max(fits, key=lambda fit: fit[0])
    return kernel, noise


def _log_likelihoods(kernel: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Marginal log-likelihood under each of ``NOISES``, up to a constant."""
    values, vectors = np.linalg.eigh(kernel)
    variances = np.maximum(values, 0.0)[:, None] + NOISES  # n x noises
    fit = (vectors.T @ z)[:, None] ** 2 / variances
    return np.asarray(-0.5 * (fit + np.log(variances)).sum(axis=0))


def _posterior(kernel: np.ndarray, noise: float, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the graphs behind the first ``len(z)`` ones."""
    n = len(z)
    factor = cho_factor(kernel[:n, :n] + noise * np.eye(n))
    cross = kernel[:n, n:]
    mean = cross.T @ cho_solve(factor, z)
    variance = 1.0 - (cross * cho_solve(factor, cross)).sum(axis=0)
    return mean, np.sqrt(np.maximum(variance, 1e-12))


def _expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    u = (mean - best) / deviation
    return np.asarray(deviation * (u * norm.cdf(u) + norm.pdf(u)))
