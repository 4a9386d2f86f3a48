from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import prune
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
NONE = NASBENCH201_OPS.index("none")
SKIP = NASBENCH201_OPS.index("skip_connect")


def test_fifteen_thousand_cells():
    space = NASBench201Space()
    assert space.size == len(space.enumerate()) == 15_625
    assert list(space.distributions()) == [f"op_{i}_{j}" for i, j in EDGES]
    assert {d.choices for d in space.distributions().values()} == {NASBENCH201_OPS}


def test_is_the_cell_of_four_nodes_with_operations_on_edges():
    general = CellSpace.on_edges(4, NASBENCH201_OPS, zero=["none"])
    assert NASBench201Space().fingerprint == general.fingerprint
    assert NASBench201Space().difference(general) is None


def test_names():
    space = NASBench201Space(names=list("abcdef"))
    params = dict(zip("abcdef", (*NASBENCH201_OPS, "none"), strict=True))
    assert space.from_graph(space.to_graph(params)) == params
    assert space.fingerprint == NASBench201Space().fingerprint


CELL = {
    "op_0_1": "nor_conv_3x3",
    "op_0_2": "skip_connect",
    "op_1_2": "avg_pool_3x3",
    "op_0_3": "nor_conv_1x1",
    "op_1_3": "none",
    "op_2_3": "nor_conv_3x3",
}


def test_true_dependencies_of_a_cell():
    graph = NASBench201Space().to_graph(CELL)
    assert dict(graph.nodes(data="op")) == {
        "input": "input",
        "0_1": "nor_conv_3x3",
        "0_2": "skip_connect",
        "1_2": "avg_pool_3x3",
        "0_3": "nor_conv_1x1",
        "1_3": "none",
        "2_3": "nor_conv_3x3",
        "output": "output",
    }
    assert set(graph.edges) == {
        ("input", "0_1"),
        ("input", "0_2"),
        ("input", "0_3"),
        ("0_1", "1_2"),
        ("0_1", "1_3"),
        ("0_2", "2_3"),
        ("1_2", "2_3"),
        ("0_3", "output"),
        ("1_3", "output"),
        ("2_3", "output"),
    }


def test_pruned_cell():
    space = NASBench201Space()
    cell = CELL | {"op_0_2": "none", "op_1_2": "none"}  # so 1_2, 1_3, 2_3 and 0_1 are of no use
    pruned = prune(space.to_graph(cell), space.zero)
    assert set(pruned.edges) == {("input", "0_3"), ("0_3", "output")}
    assert set(pruned) == {"input", "0_3", "output"}


# What an operation does to a number: something nonlinear that leaves zero at zero.
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "none": lambda x: 0.0,
    "skip_connect": lambda x: x,
    "nor_conv_1x1": lambda x: 0.7 * x + 0.31 * x**2,
    "nor_conv_3x3": lambda x: np.sin(1.3 * x),
    "avg_pool_3x3": lambda x: 0.45 * x - 0.27 * x**3,
}


def run_nodes(ops: list[str], x: float) -> float:
    """The cell as its authors run it: every node sums the operations on the edges into it."""
    nodes = [x, 0.0, 0.0, 0.0]
    for (i, j), op in zip(EDGES, ops, strict=True):  # in the order of the targets
        nodes[j] += FUNCTIONS[op](nodes[i])
    return nodes[3]


def run_graph(graph: nx.DiGraph, x: float) -> float:
    """The cell as a graph of operations: every operation sums what it reads."""
    values: dict[str, float] = {}
    for v in nx.topological_sort(graph):
        total = x if v == "input" else sum(values[u] for u in graph.predecessors(v))
        op = graph.nodes[v]["op"]
        values[v] = total if op in ("input", "output") else FUNCTIONS[op](total)
    return values["output"]


def test_graph_and_pruned_graph_compute_what_the_cell_computes(draw):
    space = NASBench201Space()
    for row in draw(space, 300):
        params = space.decode(row)
        expected = run_nodes(list(params.values()), 0.8)
        graph = space.to_graph(params)
        assert run_graph(graph, 0.8) == pytest.approx(expected)
        assert run_graph(prune(graph, space.zero), 0.8) == pytest.approx(expected)


# --- isomorphism ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return NASBench201Space().enumerate()


def expression(ops: np.ndarray) -> str:
    """NAS-Bench-201's text for a cell: ``(a)@op+(b)@op``, skips and zeros left out."""
    nodes: list[list[str]] = [["0"], [], [], []]
    for (i, j), op in zip(EDGES, ops, strict=True):
        if op != NONE and nodes[i]:
            text = "+".join(sorted(nodes[i]))
            nodes[j] += nodes[i] if op == SKIP else [f"({text})@{op}"]
    return "+".join(sorted(nodes[3]))


def refines(fine: np.ndarray, coarse: np.ndarray) -> bool:
    """Whether equal values in ``fine`` mean equal values in ``coarse``."""
    pairs = set(zip(fine.tolist(), coarse.tolist(), strict=True))
    return len(pairs) == len(set(fine.tolist()))


def test_isomorphic_cells_compute_the_same(cells, isomorphism_classes):
    pruned = isomorphism_classes(NASBench201Space().to_graphs(cells).pruned())
    computed = np.array([expression(row) for row in cells])
    assert refines(pruned, computed)
    # A skip is a vertex here, and a sum of sums is not flattened: so not the other way round.
    assert not refines(computed, pruned)
    assert len(set(pruned.tolist())) == 8765


def test_isomorphism_agrees_with_the_table(cells, isomorphism_classes, table):
    """The table keeps apart cells that differ in dead zeros, so only cells without compare."""
    published = {row["ops"]: int(row["isomorph"]) for row in table("nasbench201")}
    assert len(set(published.values())) == 6466
    isomorph = np.array([published["".join(map(str, row))] for row in cells])
    assert refines(isomorph, np.array([expression(row) for row in cells]))
    pruned = isomorphism_classes(NASBench201Space().to_graphs(cells).pruned())
    whole = (cells != NONE).all(axis=1)
    assert whole.sum() == 4**6
    assert refines(pruned[whole], isomorph[whole])
    assert not refines(pruned, isomorph)
