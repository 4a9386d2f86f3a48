"""What a user's function returns, as a DAG from one input to one output."""

from __future__ import annotations

from collections.abc import Hashable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import INPUT
from optuna_tnas.spaces.declaration import OUTPUT
from optuna_tnas.spaces.declaration import plain_value


@dataclass(frozen=True)
class Sorted:
    """A graph in topological order.

    Attributes:
        labels: The operation of each vertex; the input is first, the output last.
        edges: Positions, from and to, sorted.
    """

    labels: tuple[Choice, ...]
    edges: tuple[tuple[int, int], ...]


def to_graph(returned: object, params: Mapping[str, Any]) -> nx.DiGraph:
    """Make the DAG of what a function returned for ``params``; see ``Space.from_define_by_run``.

    Raises:
        SpaceError: If it is no such DAG, nor a list of operations, nor None.
    """
    if returned is None:
        return _complete(_unconnected([f"{name}={value}" for name, value in params.items()]))
    if isinstance(returned, list | tuple):
        graph = _unconnected(returned)
        nx.add_path(graph, range(len(returned)))
        return _complete(graph)
    if not isinstance(returned, nx.DiGraph) or returned.is_multigraph():
        raise SpaceError(
            f"The function returned {returned!r}, of type {type(returned).__name__}; return a "
            "networkx.DiGraph with the node attribute 'op', a list of operations, or nothing."
        )
    return _complete(returned.copy())


def _unconnected(ops: Any) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from((i, {"op": op}) for i, op in enumerate(ops))
    return graph


def _complete(graph: nx.DiGraph) -> nx.DiGraph:
    """Check the operations, and add the input and the output unless they are there."""
    ops: dict[Hashable, Choice] = {}
    for node, op in graph.nodes(data="op"):
        if op is None:
            raise SpaceError(
                f"The node {node!r} has no operation; write graph.add_node({node!r}, op=...)."
            )
        ops[node] = graph.nodes[node]["op"] = plain_value(op, f"the operation of {node!r}")
    sources = [n for n in graph if not graph.pred[n] and ops[n] != OUTPUT]
    sinks = [n for n in graph if not graph.succ[n] and ops[n] != INPUT]
    source, sink = _only(graph, ops, INPUT), _only(graph, ops, OUTPUT)
    if source is None:
        graph.add_node(INPUT, op=INPUT)
        graph.add_edges_from((INPUT, n) for n in sources)
    if sink is None:
        graph.add_node(OUTPUT, op=OUTPUT)
        graph.add_edges_from((n, OUTPUT) for n in sinks)
    if not ops:
        graph.add_edge(INPUT, OUTPUT)
    return graph


def _only(graph: nx.DiGraph, ops: Mapping[Hashable, Choice], op: str) -> Hashable | None:
    """Find the one node with the operation ``op``; None if there is none."""
    found = [node for node, its in ops.items() if its == op]
    if len(found) > 1:
        raise SpaceError(
            f"The nodes {found} are all the {op}; an architecture has one. Give the others an "
            f"operation of their own that is connected to it."
        )
    if not found and op in graph:
        raise SpaceError(f"The node {op!r} has another operation; give it another name.")
    if found and (graph.pred if op == INPUT else graph.succ)[found[0]]:
        raise SpaceError(
            f"The {op}, node {found[0]!r}, {'reads' if op == INPUT else 'is read by'} other "
            "nodes; turn these edges round."
        )
    return found[0] if found else None


def in_order(graph: nx.DiGraph) -> Sorted:
    """Sort a graph's vertices, input first and output last.

    Raises:
        SpaceError: If there is a cycle.
    """
    try:
        nodes = list(nx.topological_sort(graph))
    except nx.NetworkXUnfeasible:
        cycle = [source for source, _ in nx.find_cycle(graph)]
        raise SpaceError(
            f"The graph has the cycle {[*cycle, cycle[0]]}; an architecture is a DAG, so unroll "
            "it or leave one of its edges out."
        ) from None
    ops = graph.nodes(data="op")
    ends = {INPUT: 0, OUTPUT: 2}
    nodes.sort(key=lambda node: ends.get(ops[node], 1))  # stable
    place = {node: i for i, node in enumerate(nodes)}
    edges = sorted((place[u], place[v]) for u, v in graph.edges)
    return Sorted(tuple(ops[node] for node in nodes), tuple(edges))
