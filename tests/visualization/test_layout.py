"""Drawings of DAGs: from the top down, nothing overlaps, edges are clear of operations."""

from __future__ import annotations

from itertools import combinations
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from optuna_tnas.visualization.layout import crossings
from optuna_tnas.visualization.layout import layout


HALF_WIDTH, HALF_HEIGHT = 0.5, 0.25  # of an operation


def random_dag(n: int, density: float, seed: int) -> nx.DiGraph:
    """``n`` operations that each read at least one before them."""
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_node(0)
    for v in range(1, n):
        sources = np.flatnonzero(rng.random(v) < density)
        graph.add_edges_from((int(u), v) for u in (sources if len(sources) else [rng.integers(v)]))
    return graph


GRAPHS = {
    "one": nx.empty_graph(1, nx.DiGraph),
    "chain": nx.path_graph(30, nx.DiGraph),
    "apart": nx.disjoint_union(nx.path_graph(3, nx.DiGraph), nx.path_graph(5, nx.DiGraph)),
    "complete": nx.DiGraph(combinations(range(8), 2)),
    **{f"random {seed}": random_dag(32, 0.08, seed) for seed in range(6)},
}
each_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())


@each_graph
def test_edges_go_down_from_their_source_to_their_target(graph: nx.DiGraph) -> None:
    drawn = layout(graph)
    assert set(drawn.places) == set(graph)
    assert set(drawn.paths) == set(graph.edges)
    for (u, v), path in drawn.paths.items():
        assert (path[0], path[-1]) == (drawn.places[u], drawn.places[v])
        assert all(upper[1] > lower[1] for upper, lower in pairwise(path))


@each_graph
def test_operations_do_not_overlap(graph: nx.DiGraph) -> None:
    places = list(layout(graph).places.values())
    for (x, y), (other_x, other_y) in combinations(places, 2):
        assert abs(x - other_x) >= 2 * HALF_WIDTH - 1e-9 or abs(y - other_y) >= 1


def passes(path: list[tuple[float, float]], x: float, y: float) -> bool:
    """Whether a path comes into the box of an operation; looked at in small steps."""
    share = np.linspace(0, 1, 201)[:, None]
    steps = np.concatenate(
        [a + share * (np.array(b) - a) for a, b in pairwise(map(np.array, path))]
    )
    inside = (abs(steps - (x, y)) < (HALF_WIDTH - 1e-9, HALF_HEIGHT)).all(axis=1)
    return bool(inside.any())


@each_graph
def test_no_edge_passes_behind_an_operation_of_others(graph: nx.DiGraph) -> None:
    drawn = layout(graph)
    for edge, path in drawn.paths.items():
        for vertex, (x, y) in drawn.places.items():
            assert vertex in edge or not passes([*path], x, y), (edge, vertex)


def test_everything_is_within_the_bounds() -> None:
    drawn = layout(GRAPHS["random 0"])
    left, right, bottom, top = drawn.bounds
    points = np.array(
        [*drawn.places.values(), *(p for path in drawn.paths.values() for p in path)]
    )
    assert (points.min(axis=0) == (left + 0.5, bottom + 0.5)).all()
    assert (points.max(axis=0) == (right - 0.5, top - 0.5)).all()


def test_a_chain_is_a_straight_line() -> None:
    assert {x for x, _ in layout(GRAPHS["chain"]).places.values()} == {0.0}


def test_edges_that_need_not_cross_do_not() -> None:
    """Two layers whose order by name is the worst one."""
    graph = nx.DiGraph([("s", "a"), ("s", "b"), ("s", "c"), ("a", "z"), ("b", "y"), ("c", "x")])
    assert crossings(graph, [["s"], ["a", "b", "c"], ["x", "y", "z"]]) == 3
    drawn = layout(graph)
    order = [sorted(layer, key=lambda v: drawn.places[v][0]) for layer in ("abc", "xyz")]
    assert crossings(graph, order) == 0


def test_crossings_are_pairs_of_edges_in_opposite_order() -> None:
    edges = [(u, v) for u in range(3) for v in range(3, 6)]
    graph = nx.DiGraph(edges)
    inverted = [(a, b) for a, b in combinations(edges, 2) if (a[0] - b[0]) * (a[1] - b[1]) < 0]
    assert crossings(graph, [[0, 1, 2], [3, 4, 5]]) == len(inverted) == 9


def test_the_same_graph_is_drawn_the_same() -> None:
    """Whatever the order in which its operations and edges were added."""
    graph, shuffled = GRAPHS["random 3"], nx.DiGraph()
    shuffled.add_nodes_from(reversed(list(graph)))
    shuffled.add_edges_from(reversed(list(graph.edges)))
    places, others = layout(graph).places, layout(shuffled).places
    for vertex in graph:
        assert places[vertex] == pytest.approx(others[vertex])
