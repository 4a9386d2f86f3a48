from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import GraphBatch
from optuna_tnas.spaces import prune
from tests.networkx_graphs import from_networkx


def random_batch(n: int, n_slots: int, seed: int) -> GraphBatch:
    """DAGs of every density with absent slots; operation 2 and up between input and output."""
    rng = np.random.default_rng(seed)
    ops = rng.integers(2, 6, size=(n, n_slots))
    ops[rng.random(ops.shape) < 0.2] = -1
    ops[:, 0], ops[:, -1] = 0, 1
    density = rng.random((n, 1, 1))
    adjacency = np.triu(rng.random((n, n_slots, n_slots)) < density, k=1)
    present = ops != -1
    return GraphBatch(ops, adjacency & present[:, :, None] & present[:, None, :])


def networkx_graph(batch: GraphBatch, b: int) -> nx.DiGraph:
    labels = {0: "input", 1: "output"}
    graph = nx.DiGraph()
    graph.add_nodes_from(
        (v, {"op": labels.get(op, f"op{op}")}) for v, op in enumerate(batch.ops[b]) if op >= 0
    )
    graph.add_edges_from((int(u), int(v)) for u, v in np.argwhere(batch.adjacency[b]))
    return graph


VOCABULARY = {"input": 0, "output": 1, "op2": 2, "op3": 3, "op4": 4, "op5": 5}


def test_prune_keeps_exactly_what_lies_on_a_path():
    batch = random_batch(150, 7, seed=0)
    for b in range(len(batch)):
        graph = networkx_graph(batch, b)
        alive = [v for v, op in graph.nodes(data="op") if op != "op5"]
        paths = list(nx.all_simple_paths(graph.subgraph(alive), 0, 6))
        pruned = prune(graph, zero=["op5"])
        assert set(pruned) == {0, 6}.union(*paths)
        assert set(pruned.edges) == {edge for path in paths for edge in nx.utils.pairwise(path)}
        assert all(pruned.nodes[v] == graph.nodes[v] for v in pruned)


def test_prune_leaves_its_argument_alone():
    graph = nx.DiGraph([("in", "a"), ("a", "out"), ("b", "out")])
    nx.set_node_attributes(graph, {"in": "input", "a": "none", "b": "conv", "out": "output"}, "op")
    pruned = prune(graph, zero=["none"])
    assert set(pruned) == {"in", "out"} and not pruned.edges
    pruned.add_edge("in", "out")
    assert set(graph) == {"in", "a", "b", "out"} and ("in", "out") not in graph.edges


@pytest.mark.parametrize("n_slots", [2, 3, 6, 12])
def test_pruned_equals_networkx_on_random_graphs(n_slots, same_graph):
    batch = random_batch(150, n_slots, seed=n_slots)
    pruned = batch.pruned()
    for b in range(len(batch)):
        assert same_graph(networkx_graph(pruned, b), prune(networkx_graph(batch, b)))


def test_pruned_equals_networkx_on_every_space(space, draw, graph_at, same_graph):
    X = draw(space, 300)
    pruned = space.to_graphs(X).pruned()
    for b, row in enumerate(X):
        slow = prune(space.to_graph(space.decode(row)), space.zero)
        assert same_graph(graph_at(space, pruned, b), slow)


def test_pruned_equals_networkx_on_all_transnas_cells(make_space, graph_at, same_graph):
    space = make_space("transnas_micro")
    X = space.enumerate()
    pruned = space.to_graphs(X).pruned()
    for b, row in enumerate(X):
        slow = prune(space.to_graph(space.decode(row)), space.zero)
        assert same_graph(graph_at(space, pruned, b), slow)


@pytest.mark.parametrize("name", ["nasbench201", "transnas_micro"])
def test_fully_dead_cells_keep_input_and_output_only(make_space, name):
    space = make_space(name)
    X = space.enumerate()
    pruned = space.to_graphs(X).pruned()
    dead = ~pruned.adjacency.any(axis=(1, 2))
    assert dead[0]  # nothing but "none"
    assert (pruned.ops[dead, 0] == space.vocabulary["input"]).all()
    assert (pruned.ops[dead, -1] == space.vocabulary["output"]).all()
    assert (pruned.ops[dead, 1:-1] == -1).all()
    # Every one of the four paths 0-3, 0-1-3, 0-2-3 and 0-1-2-3 has a "none" on it.
    zero = X == 0  # op_0_1, op_0_2, op_1_2, op_0_3, op_1_3, op_2_3
    paths = [[3], [0, 4], [1, 5], [0, 2, 5]]
    assert np.array_equal(dead, np.all([zero[:, path].any(axis=1) for path in paths], axis=0))


def test_pruned_is_idempotent(space, draw):
    once = space.to_graphs(draw(space, 200)).pruned()
    twice = once.pruned()
    assert np.array_equal(once.ops, twice.ops)
    assert np.array_equal(once.adjacency, twice.adjacency)


def test_unique_loses_nothing(space, draw):
    X = draw(space, 300)
    batch = space.to_graphs(np.concatenate([X, X[::-1]])).pruned()
    distinct, inverse = batch.unique()
    assert np.array_equal(distinct.ops[inverse], batch.ops)
    assert np.array_equal(distinct.adjacency[inverse], batch.adjacency)
    as_bytes = {o.tobytes() + a.tobytes() for o, a in zip(batch.ops, batch.adjacency, strict=True)}
    assert len(distinct) == len(as_bytes)
    assert set(inverse) == set(range(len(distinct)))


def test_unique_tells_edges_from_labels():
    ops = np.array([[0, 2, 1], [0, 2, 1], [0, 3, 1]])
    adjacency = np.zeros((3, 3, 3), dtype=bool)
    adjacency[1, 0, 1] = True
    assert len(GraphBatch(ops, adjacency).unique()[0]) == 3


def test_classes_are_isomorphism_classes(space, draw, isomorphism_classes):
    batch = space.to_graphs(draw(space, 300)).pruned()
    classes, inverse = batch.classes()
    expected = isomorphism_classes(batch)
    assert np.array_equal(inverse[:, None] == inverse, expected[:, None] == expected)
    assert np.array_equal(classes.classes()[1], np.arange(len(classes)))
    assert len(set(isomorphism_classes(classes))) == len(classes)


def test_classes_of_renumbered_random_graphs():
    batch = random_batch(300, 7, seed=5)
    rng = np.random.default_rng(0)
    renumbered = []
    for b in range(len(batch)):
        graph = networkx_graph(batch, b)
        names = dict(zip(graph, rng.permutation(100)[: len(graph)].tolist(), strict=True))
        renumbered.append(nx.relabel_nodes(graph, names))
    again = from_networkx(renumbered, VOCABULARY)
    both = GraphBatch(
        np.concatenate([batch.ops, again.ops]),
        np.concatenate([batch.adjacency, again.adjacency]),
    )
    inverse = both.classes()[1]
    assert np.array_equal(inverse[:300], inverse[300:])


def test_classes_of_large_graphs_are_isomorphism_classes(isomorphism_classes):
    """More than 64 slots are summed over edges; a part of the slots only holds vertices."""
    small = random_batch(200, 6, seed=9)
    n_slots = 90
    ops = np.full((200, n_slots), -1)
    adjacency = np.zeros((200, n_slots, n_slots), dtype=bool)
    places = [0, 11, 30, 64, 70, n_slots - 1]
    ops[:, places] = small.ops
    adjacency[np.ix_(range(200), places, places)] = small.adjacency
    large = GraphBatch(ops, adjacency)
    expected = isomorphism_classes(small)
    found = large.classes()[1]
    assert np.array_equal(found[:, None] == found, expected[:, None] == expected)


def test_from_networkx_gives_isomorphic_graphs():
    batch = random_batch(100, 8, seed=3)
    graphs = [networkx_graph(batch, b) for b in range(len(batch))]
    shuffled = []
    rng = np.random.default_rng(0)
    for graph in graphs:  # other names and another order of nodes
        nodes = rng.permutation(list(graph))
        mixed = nx.DiGraph()
        mixed.add_nodes_from((f"n{v}", graph.nodes[v]) for v in nodes)
        mixed.add_edges_from((f"n{u}", f"n{v}") for u, v in graph.edges)
        shuffled.append(mixed)
    packed = from_networkx(shuffled, VOCABULARY)
    assert len(packed) == len(graphs)
    assert np.array_equal(packed.adjacency, np.triu(packed.adjacency, k=1))
    assert (packed.ops[:, 0] == 0).all() and (packed.ops[:, -1] == 1).all()
    for b, graph in enumerate(graphs):
        again = networkx_graph(packed, b)
        assert nx.is_isomorphic(again, graph, node_match=lambda u, v: u == v)


def test_from_networkx_packs_graphs_of_a_space(make_space, isomorphism_classes):
    space = make_space("optional_edges")
    X = space.enumerate()[::151]
    pruned = [prune(space.to_graph(space.decode(row)), space.zero) for row in X]
    packed = from_networkx(pruned, space.vocabulary)
    direct = space.to_graphs(X).pruned()
    assert packed.present.sum() == direct.present.sum()
    assert packed.adjacency.sum() == direct.adjacency.sum()
    pairs = set(zip(isomorphism_classes(packed), isomorphism_classes(direct), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_from_networkx_names_the_unknown_operation():
    graph = nx.DiGraph([("in", "a"), ("a", "out")])
    nx.set_node_attributes(graph, {"in": "input", "a": "dil_conv", "out": "output"}, "op")
    with pytest.raises(SpaceError, match=r"'dil_conv' is not one of the space's.*'op5'"):
        from_networkx([graph], VOCABULARY)
