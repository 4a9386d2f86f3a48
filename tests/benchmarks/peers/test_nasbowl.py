from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy.integrate import quad_vec
from scipy.stats import multivariate_normal
from scipy.stats import norm

from benchmarks.peers import make
from benchmarks.peers import nasbowl
from benchmarks.peers._sequential import best_of_past
from benchmarks.peers._sequential import random_initial
from benchmarks.peers._wl import normalized_kernel
from benchmarks.peers._wl import subtree_counts
from benchmarks.peers.nasbowl import Nasbowl
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from tests.benchmarks.peers.toy import Toy


@pytest.mark.parametrize("method", ["nasbowl", "warm_nasbowl"])
def test_same_seed_same_trials(method: str, toy: Toy) -> None:
    first, again, other = (toy.search(make(method, toy.setting(seed)), 20) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("method", ["nasbowl", "warm_nasbowl"])
def test_finds_the_best_of_a_tiny_space_without_repeats(method: str, toy: Toy) -> None:
    rows = toy.search(make(method, toy.setting()), 40)
    assert len(np.unique(rows, axis=0)) == 40
    assert toy.target[tuple(rows.T)].max() == toy.target.max()


def test_goes_on_after_all_was_tried(toy: Toy) -> None:
    assert len(np.unique(toy.search(make("nasbowl", toy.setting()), 70), axis=0)) == 64


def test_start(toy: Toy) -> None:
    setting = toy.setting()
    cold, warm = (toy.search(make(name, setting), 10) for name in ("nasbowl", "warm_nasbowl"))
    assert np.array_equal(cold, random_initial(toy.space, 10, 0))
    assert np.array_equal(warm[:5], best_of_past(setting.history, toy.space, 5))


def test_space_that_is_too_large_to_be_listed() -> None:
    space, rng = MobileNetV3Space(), np.random.default_rng(0)
    X = space.sample(20, rng)
    row = Nasbowl(space)(X, X.sum(axis=1) / 2, rng)
    assert np.array_equal(space.canonical(row[None]), row[None])
    assert not (row == X).all(axis=1).any()


def test_skips_are_bridged() -> None:
    """An edge of the computing graph is a path through skips only."""
    space = NASBench201Space()
    X = space.sample(100, np.random.default_rng(0))
    before, after = space.to_graphs(X).pruned(), nasbowl._computing(space, X)
    skip = space.vocabulary["skip_connect"]
    assert (before.ops == skip).any() and not (after.ops == skip).any()
    for b in range(100):
        graph = nx.DiGraph(np.argwhere(before.adjacency[b]).tolist())
        skips = {v for v in graph if before.ops[b, v] == skip}
        others = sorted(set(graph) - skips)
        expected = {
            (u, v)
            for u in others
            for v in others
            if u != v and nx.has_path(graph.subgraph(skips | {u, v}), u, v)
        }
        assert {(int(u), int(v)) for u, v in np.argwhere(after.adjacency[b])} == expected


def example() -> tuple[np.ndarray, np.ndarray]:
    """A kernel of 30 cells, and values of the first 20."""
    space, rng = NASBench201Space(), np.random.default_rng(0)
    graphs = space.to_graphs(space.sample(30, rng)).pruned()
    return normalized_kernel(subtree_counts(graphs, 2)), rng.normal(size=20)


def test_likelihoods() -> None:
    kernel, z = example()
    found = nasbowl._log_likelihoods(kernel[:20, :20], z) - 10 * np.log(2 * np.pi)
    for likelihood, noise in zip(found, nasbowl.NOISES, strict=True):
        normal = multivariate_normal(np.zeros(20), kernel[:20, :20] + noise * np.eye(20))
        assert likelihood == pytest.approx(normal.logpdf(z), rel=1e-6)


def test_posterior_is_the_conditional_normal() -> None:
    kernel, z = example()
    mean, deviation = nasbowl._posterior(kernel, 1e-2, z)
    weights = kernel[20:, :20] @ np.linalg.inv(kernel[:20, :20] + 1e-2 * np.eye(20))
    assert np.allclose(mean, weights @ z)
    assert np.allclose(deviation**2, np.diag(kernel[20:, 20:] - weights @ kernel[:20, 20:]))


def test_height_and_noise_are_the_most_likely_ones() -> None:
    space = NASBench201Space()
    counts = subtree_counts(
        nasbowl._computing(space, space.sample(60, np.random.default_rng(0))), 2
    )
    z = nasbowl._standardized(counts[1][:40] @ np.arange(counts[1].shape[1]))
    kernel, noise = nasbowl._fitted(counts, z)
    grid = [
        (multivariate_normal(np.zeros(40), K[:40, :40] + s * np.eye(40)).logpdf(z), s, h)
        for h, K in enumerate(normalized_kernel(counts[: h + 1]) for h in range(3))
        for s in nasbowl.NOISES
    ]
    _, best_noise, best_height = max(grid)
    assert noise == best_noise
    assert np.array_equal(kernel, normalized_kernel(counts[: best_height + 1]))


def test_expected_improvement_is_the_integral() -> None:
    mean, deviation = np.array([0.3, -1.0, 2.0]), np.array([0.5, 0.2, 1.0])
    expected, _ = quad_vec(lambda v: (v - 0.4) * norm.pdf(v, mean, deviation), 0.4, 20.0)
    assert np.allclose(nasbowl._expected_improvement(mean, deviation, 0.4), expected, atol=1e-7)


@pytest.mark.parametrize("y", [np.arange(12.0) + 95.0, np.full(12, 3.0)], ids=["large", "equal"])
def test_values_that_are_no_percentages_or_all_equal(y: np.ndarray, toy: Toy) -> None:
    row = Nasbowl(toy.space)(toy.rows[:12], y, np.random.default_rng(0))
    assert not (toy.rows[:12] == row).all(axis=1).any()
