"""The structure's vectors against counts made one network at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from collections.abc import Hashable

import networkx as nx
import numpy as np
from optuna.trial import BaseTrial
import pytest
import torch

from optuna_tnas.encoders.structure import SQUARED_LENGTHSCALE
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.spaces import prune
from optuna_tnas.spaces import Space


NAMES = ["small", "conditional", "nasbench201", "mobilenetv3"]


def counts(graph: nx.DiGraph) -> list[Counter[Hashable]]:
    """How often each operation occurs, with its inputs', with its inputs' and readers'."""
    op = dict(graph.nodes(data="op"))
    before = {v: tuple(sorted(op[u] for u in graph.predecessors(v))) for v in graph}
    after = {v: tuple(sorted(op[u] for u in graph.successors(v))) for v in graph}
    return [
        Counter(op[v] for v in graph),
        Counter((op[v], before[v]) for v in graph),
        Counter((op[v], before[v], after[v]) for v in graph),
    ]


def cosine(a: Counter[Hashable], b: Counter[Hashable]) -> float:
    product = sum(a[key] * b[key] for key in a)
    return float(
        product / np.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    )


def similarity(space: Space, a: np.ndarray, b: np.ndarray) -> float:
    graphs = [prune(space.to_graph(space.decode(row)), space.zero) for row in (a, b)]
    cosines = [cosine(x, y) for x, y in zip(*map(counts, graphs), strict=True)]
    return float(np.mean([*cosines, (a == b).mean()]))


@pytest.mark.parametrize("name", ["small", "conditional"])
def test_products_are_the_mean_of_four_similarities(
    name: str, space_named: Callable[[str], Space]
) -> None:
    space = space_named(name)
    X = space.sample(25, np.random.default_rng(1))
    products = SQUARED_LENGTHSCALE * (Z := StructureEncoder(space)(X)) @ Z.mT
    expected = [[similarity(space, a, b) for b in X] for a in X]
    # Colors that share a bucket, and axes that were left out, shift a few of them.
    error = np.abs(products.numpy() - expected)
    assert np.median(error) < 1e-6
    assert error.max() < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_short_and_repeat(name: str, space_named: Callable[[str], Space]) -> None:
    space = space_named(name)
    encoder = StructureEncoder(space)
    X = space.sample(50, np.random.default_rng(1))
    Z = encoder(X)
    assert Z.shape == (50, encoder.width)
    assert encoder.width <= 128
    assert (Z.square().sum(dim=-1) <= 1 / SQUARED_LENGTHSCALE + 1e-6).all()
    torch.testing.assert_close(StructureEncoder(space)(X), Z)
    torch.testing.assert_close(encoder(X[::-1].copy()), Z.flip(0))
    assert encoder(X[:0]).shape == (0, encoder.width)


def test_dead_operations_do_not_count(space_named: Callable[[str], Space]) -> None:
    """Only the choices differ, a quarter of the similarity."""
    space = space_named("small")
    X = np.array([[0, 1, 2], [0, 1, 3]])  # without the first edge, no input reaches the third
    group = space.to_graphs(X).pruned().classes()[1]
    assert group[0] == group[1]
    Z = StructureEncoder(space)(X) * SQUARED_LENGTHSCALE**0.5
    assert float(Z[0] @ Z[1]) == pytest.approx(1 - 1 / 12, abs=0.02)


def test_near_choices_of_an_integer_are_alike() -> None:
    """The choices are a quarter of the similarity, which falls off with the distance."""

    def build(trial: BaseTrial) -> list[str]:
        trial.suggest_int("width", 0, 7)  # no operation depends on it
        return ["conv"]

    space = Space.from_define_by_run(build)
    Z = StructureEncoder(space)(space.enumerate()) * SQUARED_LENGTHSCALE**0.5
    distance = np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    expected = (3 + np.exp(-3 * distance / 8)) / 4
    np.testing.assert_allclose((Z @ Z.mT).numpy(), expected, atol=1e-6)


def test_choices_without_an_order_are_all_equally_unlike() -> None:
    def build(trial: BaseTrial) -> list[str]:
        trial.suggest_categorical("kind", list("abcd"))  # no operation depends on it
        return ["conv"]

    space = Space.from_define_by_run(build)
    Z = StructureEncoder(space)(space.enumerate()) * SQUARED_LENGTHSCALE**0.5
    products = (Z @ Z.mT).numpy()
    np.testing.assert_allclose(products[~np.eye(4, dtype=bool)], 3 / 4, atol=1e-6)


def test_spaces_of_many_choices_are_compared_too() -> None:
    """Only the choices differ, of 150 parameters; the graph is the same everywhere."""

    def build(trial: BaseTrial) -> list[str]:
        for i in range(150):
            trial.suggest_categorical(f"x{i}", list("abcdefghij"))
        return ["conv"]

    space = Space.from_define_by_run(build, n_runs=5)
    X = space.sample(20, np.random.default_rng(1))
    X[1:, :100] = X[0, :100]
    Z = StructureEncoder(space)(X) * SQUARED_LENGTHSCALE**0.5
    assert Z.shape == (20, 128)
    # A tenth of the axes is kept, of as many directions: much of the likeness is.
    products = (Z @ Z.mT).numpy()
    assert (products >= 0.75).all() and (products <= 1 + 1e-6).all()
