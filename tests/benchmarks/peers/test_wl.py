from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from collections.abc import Hashable

import networkx as nx
import numpy as np
import pytest

from benchmarks.peers._wl import normalized_kernel
from benchmarks.peers._wl import subtree_counts
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces.graphs import ABSENT
from optuna_tnas.spaces.graphs import GraphBatch


HEIGHT = 3


def cells(n: int) -> GraphBatch:
    space = NASBench201Space()
    return space.to_graphs(space.sample(n, np.random.default_rng(0))).pruned()


def dense(n: int) -> GraphBatch:
    """Random DAGs of 9 slots, some empty, with three operations."""
    rng = np.random.default_rng(1)
    ops = np.where(rng.random((n, 9)) < 0.8, rng.integers(0, 3, (n, 9)), ABSENT)
    edges = np.triu(rng.random((n, 9, 9)) < 0.4, 1)
    present = ops != ABSENT
    return GraphBatch(ops, edges & present[:, :, None] & present[:, None, :])


def by_recursion(ops: np.ndarray, adjacency: np.ndarray, height: int) -> Counter[Hashable]:
    """The subtrees themselves, of every present vertex."""

    def subtree(v: int, height: int) -> Hashable:
        if height == 0:
            return int(ops[v])
        branches = sorted(repr(subtree(u, height - 1)) for u in np.flatnonzero(adjacency[v]))
        return subtree(v, height - 1), tuple(branches)

    return Counter(subtree(v, height) for v in np.flatnonzero(ops != ABSENT))


def by_networkx(ops: np.ndarray, adjacency: np.ndarray, height: int) -> Counter[Hashable]:
    """The hashes of networkx, which has undirected edges."""
    graph = nx.Graph()
    graph.add_nodes_from((int(v), {"op": str(ops[v])}) for v in np.flatnonzero(ops != ABSENT))
    graph.add_edges_from(np.argwhere(adjacency).tolist())
    hashes = nx.weisfeiler_lehman_subgraph_hashes(
        graph, node_attr="op", iterations=height, include_initial_labels=True
    )
    return Counter(own[height] for own in hashes.values())


def dot_products(counters: list[Counter[Hashable]]) -> np.ndarray:
    return np.array([[sum(n * b[k] for k, n in a.items()) for b in counters] for a in counters])


@pytest.mark.parametrize("graphs", [cells(40), dense(40)], ids=["cells", "dense"])
@pytest.mark.parametrize("height", range(HEIGHT + 1))
def test_counts_are_those_of_the_subtrees(graphs: GraphBatch, height: int) -> None:
    counts = subtree_counts(graphs, HEIGHT)[height]
    check(counts, graphs, by_recursion, height)


@pytest.mark.parametrize("height", range(1, HEIGHT + 1))
def test_counts_on_undirected_graphs_are_those_of_networkx(height: int) -> None:
    graphs = dense(40)
    undirected = GraphBatch(graphs.ops, graphs.adjacency | graphs.adjacency.swapaxes(1, 2))
    check(subtree_counts(undirected, HEIGHT)[height], undirected, by_networkx, height)


def check(
    counts: np.ndarray,
    graphs: GraphBatch,
    oracle: Callable[[np.ndarray, np.ndarray, int], Counter[Hashable]],
    height: int,
) -> None:
    counters = [oracle(*graph, height) for graph in zip(graphs.ops, graphs.adjacency, strict=True)]
    assert counts.shape[1] == len(set().union(*counters))
    assert np.array_equal(counts @ counts.T, dot_products(counters))


def test_kernel_is_positive_semidefinite_and_normalized() -> None:
    kernel = normalized_kernel(subtree_counts(cells(100), 2))
    assert np.allclose(np.diag(kernel), 1.0)
    assert np.linalg.eigvalsh(kernel).min() > -1e-9
    assert kernel.min() >= 0.0


def test_numbering_of_the_vertices_does_not_matter() -> None:
    graphs, order = dense(30), np.random.default_rng(2).permutation(9)
    renumbered = GraphBatch(graphs.ops[:, order], graphs.adjacency[:, order][:, :, order])
    for mine, theirs in zip(
        subtree_counts(graphs, HEIGHT), subtree_counts(renumbered, HEIGHT), strict=True
    ):
        assert np.array_equal(mine, theirs)


def test_chains_that_differ_in_one_layer() -> None:
    space = MobileNetV3Space()
    row = space.sample(1, np.random.default_rng(0))
    other = row.copy()
    other[0, 1] = (other[0, 1] + 1) % 3
    counts = subtree_counts(space.to_graphs(np.concatenate([row, other])), 1)
    assert np.abs(counts[0][0] - counts[0][1]).sum() == 2  # its label
    assert np.abs(counts[1][0] - counts[1][1]).sum() == 4  # and who has it as branch
