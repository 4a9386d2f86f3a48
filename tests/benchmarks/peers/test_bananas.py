from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from benchmarks.peers import bananas
from benchmarks.peers import make
from benchmarks.peers._sequential import random_initial
from benchmarks.peers.bananas import Bananas
from benchmarks.peers.bananas import encode
from benchmarks.peers.bananas import path_encoding
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.graphs import GraphBatch
from tests.benchmarks.peers.toy import study_of
from tests.benchmarks.peers.toy import Toy


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bananas, "EPOCHS", 3)


def test_same_seed_same_trials(toy: Toy) -> None:
    first, again, other = (toy.search(make("bananas", toy.setting(s)), 25) for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 25
    assert np.array_equal(first[:10], random_initial(toy.space, 10, 0))


def test_goes_on_after_all_was_tried(toy: Toy) -> None:
    """Of 64 cells 50 were, and 25 trials follow."""
    tried = np.random.default_rng(0).permutation(toy.rows)[:50]
    study = study_of(toy.space, tried, toy.target[tuple(tried.T)])
    study.sampler = make("bananas", toy.setting())
    study.optimize(lambda trial: toy.value(toy.space.suggest(trial)), 25)
    assert len({tuple(trial.params.values()) for trial in study.trials}) > 60


@pytest.mark.parametrize("space", [NASBench201Space(), MobileNetV3Space()])
def test_batch_is_of_new_architectures(space: Space) -> None:
    rng = np.random.default_rng(0)
    X = space.sample(20, rng)
    batch = bananas._batch(space, X, X.sum(axis=1) / 2, rng)
    assert len(np.unique(np.concatenate([X, batch]), axis=0)) == 30
    assert np.array_equal(space.canonical(batch), batch)


def test_batch_does_not_depend_on_its_own_values_nor_on_what_was_asked_before() -> None:
    space, rng = NASBench201Space(), np.random.default_rng(0)
    X, y = space.sample(30, rng), rng.random(30)
    asked = Bananas(space, 0)
    batch = [asked(X[:n], y[:n], rng) for n in range(20, 30)]
    for n in (29, 23):
        assert np.array_equal(
            Bananas(space, 0)(X[:n], np.r_[y[:20], y[:n][20:] + 1], rng), batch[n - 20]
        )


# --- encoding -------------------------------------------------------------------------------


def networkx_paths(graphs: GraphBatch, b: int) -> set[tuple[int, ...]]:
    graph = nx.DiGraph(np.argwhere(graphs.adjacency[b]).tolist())
    graph.add_nodes_from([0, graphs.ops.shape[1] - 1])
    paths = nx.all_simple_paths(graph, 0, graphs.ops.shape[1] - 1)
    return {tuple(int(graphs.ops[b, v]) for v in path[1:]) for path in paths}


@pytest.mark.parametrize("pruned", [False, True])
def test_paths_are_those_of_networkx(pruned: bool) -> None:
    space = NASBench201Space()
    graphs = space.to_graphs(space.sample(60, np.random.default_rng(0)))
    graphs = graphs.pruned() if pruned else graphs
    paths = [networkx_paths(graphs, b) for b in range(60)]
    every = sorted(set().union(*paths))
    expected = [[path in own for path in every] for own in paths]
    assert np.array_equal(path_encoding(graphs), np.array(expected, dtype=float))


def test_equal_networks_are_encoded_alike() -> None:
    """What leads nowhere is on no path."""
    rows = np.array([[0, 2, 3, 3, 1, 0], [0, 2, 4, 3, 2, 0]])  # op_1_2 and op_1_3 read nothing
    encoded = encode(NASBench201Space(), rows)
    assert np.array_equal(encoded[0], encoded[1])


def test_one_hot_choices_of_a_large_space() -> None:
    space = MobileNetV3Space()
    X = space.sample(50, np.random.default_rng(0))
    encoded = encode(space, X)
    assert encoded.shape == (50, space.n_choices.sum())
    assert np.array_equal(encoded.sum(axis=1), space.active(X).sum(axis=1))
    assert len(np.unique(encoded, axis=0)) == len(np.unique(X, axis=0))


# --- the ensemble ---------------------------------------------------------------------------


def test_networks_learn_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bananas, "EPOCHS", 150)
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2, (60, 12)).astype(float)
    values = 70 + inputs @ rng.normal(size=12)
    predicted = bananas._predictions(inputs[:50], values[:50], inputs, 0)
    assert predicted.shape == (5, 60)
    assert np.abs(predicted - values)[:, :50].mean() < 0.3 * values.std()
    assert np.corrcoef(predicted.mean(axis=0)[50:], values[50:])[0, 1] > 0.7
    assert (predicted.std(axis=0) > 0).all()


def test_networks_are_apart() -> None:
    """All in one tensor say what each says alone."""
    generator = torch.Generator().manual_seed(0)
    layers = bananas._untrained(6, generator)
    x = torch.rand(8, 6, generator=generator)
    together = bananas._forward(layers, x)
    for k in range(5):
        h = x
        for weights, biases in layers[:-1]:
            h = (h @ weights[k] + biases[k]).relu()
        alone = (h @ layers[-1][0][k] + layers[-1][1][k])[:, 0]
        assert torch.allclose(together[k], alone, atol=1e-6)
