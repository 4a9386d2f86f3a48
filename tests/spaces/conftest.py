"""The spaces that the tests run over, and slow but simple graph helpers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Sequence
import csv
import gzip
import os
from pathlib import Path
import warnings

import networkx as nx
import numpy as np
import pytest

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import GraphBatch
from optuna_tnas.spaces import Maybe
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import OneOf
from optuna_tnas.spaces import SomeOf
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex


DARTS_OPS = ("skip", "max", "avg", "sep3", "sep5", "dil3", "dil5")
GRAPH_OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")


def nasbench_graph() -> Space:
    """Four operations that each read the input or an earlier one; what is unread is output."""
    names = ["a", "b", "c", "d"]
    return CellSpace(
        [Node(n, GRAPH_OPS, [OneOf("input", *names[:i])]) for i, n in enumerate(names)]
    )


def transnas_micro() -> Space:
    return CellSpace.on_edges(4, ("none", "skip", "conv1x1", "conv3x3"), zero=["none"])


def optional_edges() -> Space:
    """A cell in the manner of NAS-Bench-101, with a chosen input and a fixed operation."""
    nodes = [
        Node("stem", ["conv"]),
        Node("left", ["zero", "conv", "pool"], ["stem", Maybe("input")]),
        Node("right", ["conv", "pool"], [Maybe("stem"), Maybe("left")]),
        Node("tail", ["pool", "zero"], [OneOf("left", "right"), Maybe("input")]),
    ]
    output = ["tail", Maybe("stem"), OneOf("left", "input")]
    return CellSpace(nodes, output=output, zero=["zero"])


def nested_conditions() -> Space:
    """Each of three layers exists only if the one before it does."""
    parameters = (
        Parameter("kernel", (3, 5)),
        Parameter("more", (False, True)),
        Parameter("kernel_2", (3, 5, 7), Condition(1, (1,))),
        Parameter("kernel_3", (0, 3), Condition(2, (0, 2))),
    )
    layer_2 = tuple(f"k{k}" if more else None for more in (False, True) for k in (3, 5, 7))
    layer_3 = tuple(
        f"k{k_3}" if more and k_2 != 5 and k_3 else None
        for more in (False, True)
        for k_2 in (3, 5, 7)
        for k_3 in (0, 3)
    )
    vertices = (
        Vertex("1", (0,), ("k3", "k5")),
        Vertex("2", (1, 2), layer_2),
        Vertex("3", (1, 2, 3), layer_3),
    )
    return DeclaredSpace(parameters, vertices, (Edge(0, 1), Edge(1, 2), Edge(2, 3)), (), True)


def pairs() -> Space:
    """One node that reads a pair through operations, and one that reads a pair and one more."""
    nodes = [
        Node("a", ["conv", "pool"]),
        Node("b", ["sum"], [SomeOf(2, "input", "a", ops=["conv", "zero"])]),
        Node("c", ["sum"], [SomeOf(2, "input", "a", "b"), OneOf("a", "b", ops=["conv", "pool"])]),
    ]
    return CellSpace(nodes, zero=["zero"])


def darts(n_nodes: int = 4, ops: Sequence[str] = DARTS_OPS) -> Space:
    """A normal and a reduction cell; each node reads two different earlier ones."""

    def cell(kind: str) -> list[Node]:
        before = [f"{kind}_prev", f"{kind}_prev_prev"]
        names = [f"{kind}_{i}" for i in range(n_nodes)]
        choices = [SomeOf(2, *before, *names[:i], ops=ops) for i in range(n_nodes)]
        nodes = [Node(n, ["sum"], [c]) for n, c in zip(names, choices, strict=True)]
        return [*(Node(b, [b]) for b in before), *nodes]

    names = [f"{kind}_{i}" for kind in ("normal", "reduction") for i in range(n_nodes)]
    return CellSpace([*cell("normal"), *cell("reduction")], output=names)


SPACES: dict[str, Callable[[], Space]] = {
    "nasbench201": NASBench201Space,
    "mobilenetv3": MobileNetV3Space,
    "nasbench_graph": nasbench_graph,
    "transnas_micro": transnas_micro,
    "optional_edges": optional_edges,
    "nested_conditions": nested_conditions,
    "darts": darts,
    "pairs": pairs,
}


LARGE = ("mobilenetv3", "darts")


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> Space:
    """Every kind of space in turn."""
    return SPACES[request.param]()


@pytest.fixture(params=[name for name in SPACES if name not in LARGE])
def small_space(request: pytest.FixtureRequest) -> Space:
    """Every kind of space that can be listed."""
    return SPACES[request.param]()


@pytest.fixture
def make_space() -> Callable[[str], Space]:
    return lambda name: SPACES[name]()


@pytest.fixture
def draw() -> Callable[[Space, int], np.ndarray]:
    """Architectures of a space: the first and the last choices, every single choice, and luck."""

    def rows(space: Space, n: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        X = rng.integers(0, space.n_choices, size=(n, len(space.parameters)))
        singles = [
            np.where(np.arange(len(space.parameters)) == i, c, 0)
            for i, n_choices in enumerate(space.n_choices)
            for c in range(n_choices)
        ]
        return space.canonical(np.concatenate([X, [space.n_choices - 1], singles]))

    return rows


@pytest.fixture
def graph_at() -> Callable[[Space, GraphBatch, int], nx.DiGraph]:
    """One graph of a space's batch, with nodes named as the space declares them."""

    def graph(space: Space, batch: GraphBatch, b: int) -> nx.DiGraph:
        names = ["input", *(v.name for v in space.vertices), "output"]
        labels = list(space.vocabulary)
        result = nx.DiGraph()
        result.add_nodes_from(
            (name, {"op": labels[op]})
            for name, op in zip(names, batch.ops[b], strict=True)
            if op >= 0
        )
        result.add_edges_from((names[u], names[v]) for u, v in np.argwhere(batch.adjacency[b]))
        return result

    return graph


@pytest.fixture
def same_graph() -> Callable[[nx.DiGraph, nx.DiGraph], bool]:
    """Whether two graphs have the same named nodes, labels and edges."""

    def same(a: nx.DiGraph, b: nx.DiGraph) -> bool:
        return dict(a.nodes(data="op")) == dict(b.nodes(data="op")) and set(a.edges) == set(
            b.edges
        )

    return same


@pytest.fixture
def isomorphism_classes() -> Callable[[GraphBatch], np.ndarray]:
    """The class of each graph of a batch, by networkx: equal exactly where isomorphic."""

    def classes(batch: GraphBatch) -> np.ndarray:
        distinct, inverse = batch.unique()
        buckets: dict[str, list[tuple[int, nx.DiGraph]]] = defaultdict(list)
        found = np.empty(len(distinct), dtype=np.int64)
        n_classes = 0
        for b, (ops, adjacency) in enumerate(zip(distinct.ops, distinct.adjacency, strict=True)):
            graph = nx.DiGraph()
            graph.add_nodes_from((v, {"op": str(op)}) for v, op in enumerate(ops) if op >= 0)
            graph.add_edges_from(np.argwhere(adjacency).tolist())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # hashes differ between versions
                key = nx.weisfeiler_lehman_graph_hash(graph, node_attr="op")
            for known, representative in buckets[key]:
                if nx.is_isomorphic(representative, graph, node_match=lambda u, v: u == v):
                    found[b] = known
                    break
            else:
                buckets[key].append((n_classes, graph))
                found[b] = n_classes
                n_classes += 1
        return found[inverse]

    return classes


@pytest.fixture
def table() -> Callable[[str], list[dict[str, str]]]:
    """Reads one of the measured tables; skips the test where they are not at hand."""

    def rows(name: str) -> list[dict[str, str]]:
        folder = os.environ.get("OPTUNA_TNAS_DATA")
        if not folder:
            pytest.skip("set OPTUNA_TNAS_DATA to the folder with the measured tables")
        path = Path(folder) / "tables" / f"{name}.csv.gz"
        if not path.exists():
            pytest.skip(f"OPTUNA_TNAS_DATA has no table {path.name}")
        with gzip.open(path, "rt", newline="") as file:
            return list(csv.DictReader(file))

    return rows
