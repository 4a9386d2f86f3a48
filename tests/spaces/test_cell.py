from __future__ import annotations

from itertools import combinations
from itertools import product
from math import comb

import numpy as np
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Maybe
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import OneOf
from optuna_tnas.spaces import SomeOf


OPS = ("conv", "pool")


def edges(space: CellSpace, **params: object) -> set[tuple[str, str]]:
    return set(space.to_graph(params).edges)


# --- operations on vertices -----------------------------------------------------------------


def test_parameters_are_named_after_nodes_and_edges(make_space):
    assert list(make_space("optional_edges").distributions()) == [
        "edge_input_left",
        "op_left",
        "edge_stem_right",
        "edge_left_right",
        "op_right",
        "link_tail",
        "edge_input_tail",
        "op_tail",
        "edge_stem_output",
        "link_output",
    ]


def test_graph_by_hand(make_space):
    space = make_space("optional_edges")
    params = {
        "edge_input_left": False,
        "op_left": "pool",
        "edge_stem_right": True,
        "edge_left_right": False,
        "op_right": "conv",
        "link_tail": "right",
        "edge_input_tail": True,
        "op_tail": "zero",
        "edge_stem_output": False,
        "link_output": "left",
    }
    graph = space.to_graph(params)
    assert dict(graph.nodes(data="op")) == {
        "input": "input",
        "stem": "conv",
        "left": "pool",
        "right": "conv",
        "tail": "zero",
        "output": "output",
    }
    assert set(graph.edges) == {
        ("input", "stem"),
        ("stem", "left"),
        ("stem", "right"),
        ("right", "tail"),
        ("input", "tail"),
        ("tail", "output"),
        ("left", "output"),
    }


def test_one_of_reads_exactly_its_choice():
    space = CellSpace([Node("a", ["conv"]), Node("b", ["conv"], [OneOf("a", "input")])])
    assert edges(space, link_b="a") == {("input", "a"), ("a", "b"), ("b", "output")}
    assert edges(space, link_b="input") == {
        ("input", "a"),
        ("input", "b"),
        ("a", "output"),
        ("b", "output"),
    }


def test_maybe_is_there_or_not():
    space = CellSpace([Node("a", ["conv"]), Node("b", ["conv"], ["input", Maybe("a")])])
    assert ("a", "b") in edges(space, edge_a_b=True)
    assert ("a", "output") not in edges(space, edge_a_b=True)
    assert ("a", "b") not in edges(space, edge_a_b=False)
    assert ("a", "output") in edges(space, edge_a_b=False)  # nobody reads it now


def test_output_reads_what_it_is_told_to():
    nodes = [Node("a", ["conv"]), Node("b", ["conv"])]
    assert edges(CellSpace(nodes, output=["b"])) == {
        ("input", "a"),
        ("input", "b"),
        ("b", "output"),
    }
    assert ("input", "output") in edges(CellSpace(nodes, output=["a", "input"]))


def test_nasbench_graph_edges_are_the_links(make_space):
    space = make_space("nasbench_graph")
    assert space.size == 1 * 2 * 3 * 4 * 9**4
    names = ["input", "a", "b", "c", "d"]
    for links in product(range(1), range(2), range(3), range(4)):
        params = {f"link_{n}": names[k] for n, k in zip("abcd", links, strict=True)}
        params |= {f"op_{n}": "gcn" for n in "abcd"}
        read = {names[k] for k in links}
        expected = {(names[k], n) for n, k in zip("abcd", links, strict=True)}
        expected |= {(n, "output") for n in "abcd" if n not in read}
        assert edges(space, **params) == expected


def multisets(n: int, k: int) -> int:
    return comb(n + k - 1, k)


@pytest.mark.parametrize("n_ops", [1, 2, 3])
def test_number_of_trees_equals_polya_counting(n_ops, isomorphism_classes):
    """Four operations that each read one earlier thing are forests of four colored nodes."""
    names = ["a", "b", "c", "d"]
    ops = [f"op{i}" for i in range(n_ops)]
    space = CellSpace([Node(n, ops, [OneOf("input", *names[:i])]) for i, n in enumerate(names)])
    t1 = n_ops
    t2 = n_ops * t1
    t3 = n_ops * (t2 + multisets(t1, 2))
    t4 = n_ops * (t3 + t2 * t1 + multisets(t1, 3))
    forests = t4 + t3 * t1 + multisets(t2, 2) + t2 * multisets(t1, 2) + multisets(t1, 4)
    found = isomorphism_classes(space.to_graphs(space.enumerate()).pruned())
    assert len(set(found)) == forests


def test_table_of_nasbench_graph_belongs_to_the_space(make_space, table):
    space = make_space("nasbench_graph")
    names = ["input", "a", "b", "c", "d"]
    X = []
    for row in table("nasbench_graph"):
        params = {f"link_{n}": names[int(k)] for n, k in zip("abcd", row["link"], strict=True)}
        params |= {f"op_{n}": op for n, op in zip("abcd", row["ops"].split("|"), strict=True)}
        X.append(space.encode(params))
    assert len(np.unique(X, axis=0)) == len(X) == 26_206
    batch = space.to_graphs(np.array(X))
    assert np.array_equal(batch.pruned().ops, batch.ops)  # nothing is ever dead


# --- several sources ------------------------------------------------------------------------


def test_darts_has_as_many_architectures_as_its_authors_count(make_space):
    """Two cells of 180 wirings and eight operations of seven (Liu et al., ICLR 2019)."""
    space = make_space("darts")
    assert space.size == (1 * 3 * 6 * 10 * 7**8) ** 2
    assert not space.enumerable


def test_every_darts_node_reads_two_different_ones(make_space, draw):
    space = make_space("darts")
    for row in draw(space, 50):
        graph = space.to_graph(space.decode(row))
        for node in (f"{kind}_{i}" for kind in ("normal", "reduction") for i in range(4)):
            edges = sorted(graph.predecessors(node))
            assert edges == [f"{node}_1", f"{node}_2"]
            assert "output" in graph.successors(node)
            read = [list(graph.predecessors(edge)) for edge in edges]
            assert [len(sources) for sources in read] == [1, 1]
            assert read[0] != read[1]


def test_pairs_of_edges_and_operations_are_declared_once(isomorphism_classes):
    """One node on two inputs: all unordered pairs of (input, operation), none of them twice."""
    ops = ["x", "y", "z"]
    nodes = [Node(n, [n]) for n in "abc"]
    nodes.append(Node("d", ["sum"], [SomeOf(2, "a", "b", "c", ops=ops)]))
    space = CellSpace(nodes, output=["d"])
    wired = {
        frozenset(zip(sources, chosen, strict=True))
        for sources in combinations("abc", 2)
        for chosen in product(ops, repeat=2)
    }
    found = isomorphism_classes(space.to_graphs(space.enumerate()).pruned())
    assert len(set(found)) == space.size == len(wired)


def test_networks_whose_nodes_are_swapped_are_one(isomorphism_classes):
    """Two nodes on the same pair: (first, second) and (second, first) are the same network."""
    pair = SomeOf(2, "p", "q", ops=["x", "y"])
    nodes = [Node("p", ["p"]), Node("q", ["q"]), Node("a", ["sum"], [pair])]
    space = CellSpace([*nodes, Node("b", ["sum"], [pair])])
    batch = space.to_graphs(space.enumerate()).pruned()
    assert len(batch.classes()[0]) == len(set(isomorphism_classes(batch))) == multisets(4, 2)


def test_several_choices_on_one_node_have_their_own_parameters():
    nodes = [Node(n, ["conv"]) for n in "abcd"]
    chosen = [OneOf("a", "b"), OneOf("c", "d"), OneOf("a", "b", "c", ops=["x", "y"])]
    space = CellSpace([*nodes, Node("e", ["sum"], [*chosen, SomeOf(2, "a", "d", ops=["x"])])])
    assert list(space.distributions()) == ["link_e", "link_e_2", "link_e_3", "op_e_1", "link_e_4"]
    graph = space.to_graph(
        {"link_e": "b", "link_e_2": "c", "link_e_3": "b", "op_e_1": "y", "link_e_4": "a,d"}
    )
    assert set(graph.predecessors("e")) == {"b", "c", "e_1", "e_2", "e_3"}
    assert [set(graph.predecessors(f"e_{i}")) for i in (1, 2, 3)] == [{"b"}, {"a"}, {"d"}]
    assert graph.nodes["e_1"]["op"] == "y"


@pytest.mark.parametrize("k", [0, 3])
def test_more_sources_than_there_are_cannot_be_read(k):
    with pytest.raises(SpaceError, match=rf"'b' cannot read {k} of \['input', 'a'\]; give 1 to 2"):
        CellSpace([Node("a", OPS), Node("b", OPS, [SomeOf(k, "input", "a")])])


def test_choices_that_may_read_the_same_source_name_the_remedy():
    with pytest.raises(SpaceError, match=r"'a -> c' is used twice; .*SomeOf\(2"):
        nodes = [Node("a", OPS), Node("b", OPS), Node("c", OPS, [OneOf("a", "b"), OneOf("a")])]
        CellSpace(nodes)


# --- operations on edges --------------------------------------------------------------------


def test_on_edges_orders_parameters_by_target_then_source():
    space = CellSpace.on_edges(4, OPS)
    assert list(space.distributions()) == [
        "op_0_1",
        "op_0_2",
        "op_1_2",
        "op_0_3",
        "op_1_3",
        "op_2_3",
    ]


@pytest.mark.parametrize("n_nodes", [2, 3, 4, 5])
def test_on_edges_has_an_operation_per_pair(n_nodes):
    space = CellSpace.on_edges(n_nodes, OPS)
    graph = space.to_graph(dict.fromkeys(space.distributions(), "conv"))
    assert space.size == 2 ** comb(n_nodes, 2)
    assert graph.number_of_nodes() == comb(n_nodes, 2) + 2
    # i -> j reads k -> i for every k < i: one edge for each triple.
    inner = graph.subgraph(set(graph) - {"input", "output"})
    assert inner.number_of_edges() == comb(n_nodes, 3)
    assert graph.out_degree("input") == graph.in_degree("output") == n_nodes - 1


def test_transnas_micro_graphs_up_to_isomorphism(make_space, isomorphism_classes):
    space = make_space("transnas_micro")
    batch = space.to_graphs(space.enumerate()).pruned()
    assert len(batch) == space.size == 4096
    assert len(set(isomorphism_classes(batch))) == 1948
    assert len(batch.unique()[0]) == 2128
    assert len(batch.classes()[0]) == 1948


def test_transnas_table_lists_the_space(make_space, table):
    space = make_space("transnas_micro")
    X = np.array([[int(op) for op in row["ops"]] for row in table("transnasbench101_micro")])
    assert np.array_equal(np.unique(X, axis=0), space.enumerate())


# --- names and errors -----------------------------------------------------------------------


def test_names_rename_position_by_position(make_space, draw):
    space = make_space("transnas_micro")
    names = ["first", "second", "third", "fourth", "fifth", "sixth"]
    other = CellSpace.on_edges(
        4, ("none", "skip", "conv1x1", "conv3x3"), zero=["none"], names=names
    )
    assert list(other.distributions()) == names
    assert other.fingerprint == space.fingerprint
    assert other.difference(space) is None
    for row in draw(space, 20):
        params = dict(zip(names, space.decode(row).values(), strict=True))
        assert other.decode(row) == params
        graph = other.to_graph(params)
        assert graph.edges == space.to_graph(space.decode(row)).edges
        assert other.from_graph(graph) == params
    with pytest.raises(SpaceError, match=r"'first' .* is missing .* names="):
        other.encode(space.decode(space.enumerate()[0]))


def test_wrong_number_of_names():
    with pytest.raises(SpaceError, match=r"2 names for 3 .*'op_0_1', 'op_0_2', 'op_1_2'"):
        CellSpace.on_edges(3, OPS, names=["a", "b"])


def test_repeated_names():
    with pytest.raises(SpaceError, match="'a' is used twice"):
        CellSpace.on_edges(3, OPS, names=["a", "b", "a"])


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([Node("a", [])], "'a' has no operations"),
        ([Node("a", OPS, ["stem"])], "'a' reads 'stem', which is not declared before it.*'input'"),
        ([Node("a", OPS, ["a"])], "'a' reads 'a', which is not declared before it"),
        ([Node("a", OPS, ["b"]), Node("b", OPS)], "'a' reads 'b'"),
        ([Node("a", OPS, [Maybe("b")]), Node("b", OPS)], "'a' reads 'b'"),
        ([Node("a", OPS, [OneOf("input", "b")]), Node("b", OPS)], "'a' reads 'b'"),
        ([Node("a", OPS, ["output"])], "'a' reads 'output'"),
        ([Node("a", OPS, [OneOf()])], "'link_a' has no choices"),
        ([Node("a", OPS), Node("a", OPS)], "'op_a' is used twice"),
        ([Node("a", ["conv"]), Node("a", ["conv"])], "'a' is used twice"),
        ([Node("output", OPS)], "'output' is used twice"),
        ([Node("a", ["conv", "conv"])], "'op_a', 'conv' is used twice"),
        ([Node("a", OPS, [OneOf("input", "input")])], "'input' is used twice"),
        ([Node("a", OPS, ["input", Maybe("input")])], "'input -> a' is used twice"),
    ],
)
def test_bad_declarations(nodes, told):
    with pytest.raises(SpaceError, match=told):
        CellSpace(nodes)


def test_unknown_output():
    with pytest.raises(SpaceError, match=r"'output' reads 'b'.*'a', 'input'"):
        CellSpace([Node("a", OPS)], output=["b"])
