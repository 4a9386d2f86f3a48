"""What functions return, as sorted graphs; networkx is the oracle."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.returned import to_sorted


def random_dag(n: int, seed: int) -> nx.DiGraph:
    """Nodes in an order that is not topological."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(n).tolist()
    graph = nx.DiGraph()
    graph.add_nodes_from((names[i], {"op": f"op{i % 3}"}) for i in rng.permutation(n))
    pairs = [(u, v) for u in range(n) for v in range(u + 1, n) if rng.random() < 0.3]
    graph.add_edges_from((names[u], names[v]) for u, v in pairs)
    return graph


@pytest.mark.parametrize("seed", range(20))
def test_a_graph_keeps_its_nodes_and_edges_between_an_input_and_an_output(seed: int) -> None:
    graph = random_dag(8, seed)
    found = to_sorted(graph, {})
    assert found.labels[0] == "input" and found.labels[-1] == "output"
    assert all(u < v for u, v in found.edges)
    whole = found.to_networkx(graph)
    inner = whole.subgraph(graph.nodes)
    assert dict(inner.nodes(data="op")) == dict(graph.nodes(data="op"))
    assert set(inner.edges) == set(graph.edges)
    assert set(whole.succ["input"]) == {n for n in graph if graph.in_degree(n) == 0}
    assert set(whole.pred["output"]) == {n for n in graph if graph.out_degree(n) == 0}


def test_a_graph_with_ends_of_its_own_keeps_them() -> None:
    graph = nx.DiGraph([("a", "b"), ("x", "a"), ("b", "y"), ("dead", "b"), ("a", "unread")])
    ops = {"x": "input", "y": "output"}
    nx.set_node_attributes(graph, {n: ops.get(n, "conv") for n in graph}, "op")
    found = to_sorted(graph, {})
    assert found.names[0] == "x" and found.names[-1] == "y"
    whole = found.to_networkx(graph)
    assert set(whole.edges) == set(graph.edges) and set(whole) == set(graph)


def test_a_list_is_a_chain() -> None:
    found = to_sorted(["conv", 3, True], {"n": 3})
    assert found.labels == ("input", "conv", 3, True, "output")
    assert found.edges == ((0, 1), (1, 2), (2, 3), (3, 4))
    assert to_sorted([], {}).edges == ((0, 1),)


def test_nothing_is_the_parameters_side_by_side() -> None:
    found = to_sorted(None, {"n": 3, "op": "conv"})
    assert found.labels == ("input", "n=3", "op=conv", "output")
    assert set(found.edges) == {(0, 1), (0, 2), (1, 3), (2, 3)}
    assert to_sorted(None, {}).edges == to_sorted(nx.DiGraph(), {}).edges == ((0, 1),)


def test_the_argument_is_left_alone() -> None:
    graph = random_dag(5, 0)
    to_sorted(graph, {}).to_networkx(graph)
    assert "input" not in graph and len(graph) == 5


def test_nodes_named_as_the_ends_are_refused() -> None:
    graph = nx.DiGraph()
    graph.add_node("input", op="conv")
    with pytest.raises(SpaceError, match=r"'input' has another operation; give it another name"):
        to_sorted(graph, {})
