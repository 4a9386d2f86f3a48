"""What a user's function returns, as a DAG from one input to one output."""

from __future__ import annotations

from collections.abc import Hashable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from itertools import pairwise
from typing import Any

import networkx as nx

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import INPUT
from optuna_tnas.spaces.declaration import OUTPUT
from optuna_tnas.spaces.declaration import plain_value


Edges = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Sorted:
    """A graph in topological order, without networkx's overhead.

    Attributes:
        labels: The operation of each vertex; the input is first, the output last.
        edges: Positions, from and to, sorted.
        names: The vertices' names.
    """

    labels: tuple[Choice, ...]
    edges: tuple[tuple[int, int], ...]
    names: tuple[Hashable, ...] = field(compare=False)

    def to_networkx(self, returned: object) -> nx.DiGraph:
        """Build the graph, with the other node attributes that ``returned`` may have."""
        graph = nx.DiGraph()
        if isinstance(returned, nx.DiGraph):
            graph.add_nodes_from(returned.nodes(data=True))
        graph.add_nodes_from(
            (name, {"op": op}) for name, op in zip(self.names, self.labels, strict=True)
        )
        graph.add_edges_from((self.names[u], self.names[v]) for u, v in self.edges)
        return graph


def to_sorted(returned: object, params: Mapping[str, Any]) -> Sorted:
    """Make the DAG of what a function returned for ``params``; see ``Space.from_define_by_run``.

    Raises:
        SpaceError: If it is no such DAG, nor a list of operations, nor None.
    """
    if returned is None:
        ops: list[Choice] = [f"{name}={value}" for name, value in params.items()]
        ends = [(0, i) for i in range(1, len(ops) + 1)]
        return _between(ops, [*ends, *((i, len(ops) + 1) for _, i in ends)] or [(0, 1)])
    if isinstance(returned, list | tuple):
        ops = [_operation(op, i) for i, op in enumerate(returned)]
        return _between(ops, list(pairwise(range(len(ops) + 2))))
    if not isinstance(returned, nx.DiGraph) or returned.is_multigraph():
        raise SpaceError(
            f"It returned {returned!r}, of type {type(returned).__name__}; return a "
            "networkx.DiGraph with the node attribute 'op', a list of operations, or nothing."
        )
    return _from_networkx(returned)


def _between(ops: Sequence[Choice], edges: Edges) -> Sorted:
    """Put operations, which are positions 1, 2, ..., between an input and an output."""
    names = (INPUT, *range(len(ops)), OUTPUT)
    return Sorted((INPUT, *ops, OUTPUT), tuple(sorted(edges)), names)


def _operation(op: object, node: Hashable) -> Choice:
    if op is None:
        raise SpaceError(f"The node {node!r} has no operation; write graph.add_node(..., op=...).")
    return op if type(op) is str else plain_value(op, f"the operation of {node!r}")


def _from_networkx(graph: nx.DiGraph) -> Sorted:
    """Check a graph, add its input and output unless they are there, and sort it."""
    names = list(graph)
    ops = [_operation(op, node) for node, op in graph.nodes(data="op")]
    place = {name: i for i, name in enumerate(names)}
    edges = [(place[u], place[v]) for u, v in graph.edges]
    source, sink = _only(names, ops, INPUT), _only(names, ops, OUTPUT)
    for end, side, op in ((source, 1, INPUT), (sink, 0, OUTPUT)):
        if end is not None and any(edge[side] == end for edge in edges):
            raise SpaceError(
                f"The {op}, node {names[end]!r}, {'reads' if side else 'is read by'} other nodes; "
                "turn these edges round."
            )
    read, reading = {u for u, _ in edges}, {v for _, v in edges}
    inner = [i for i in range(len(names)) if i not in (source, sink)]
    first = [i for i in inner if i not in reading] if source is None else []
    last = [i for i in inner if i not in read] if sink is None else []
    order = _topological(graph, inner, edges)
    start, stop = source if source is not None else -1, sink if sink is not None else -2
    edges += [(start, i) for i in first] + [(i, stop) for i in last]
    return _numbered(names, ops, [start, *order, stop], edges if inner else [(start, stop)])


def _only(names: Sequence[Hashable], ops: Sequence[Choice], op: str) -> int | None:
    """Find the one node with the operation ``op``; None if there is none."""
    found = [i for i, its in enumerate(ops) if its == op]
    if len(found) > 1:
        raise SpaceError(
            f"The nodes {[names[i] for i in found]} are all the {op}; an architecture has one. "
            "Give the others operations of their own, connected to it."
        )
    if not found and op in names:
        raise SpaceError(f"The node {op!r} has another operation; give it another name.")
    return found[0] if found else None


def _topological(graph: nx.DiGraph, nodes: Sequence[int], edges: Edges) -> list[int]:
    """Sort ``nodes`` topologically (Kahn), those that come first in the graph first."""
    followers: dict[int, list[int]] = {i: [] for i in nodes}
    waiting = dict.fromkeys(nodes, 0)
    for u, v in edges:
        if u in waiting and v in waiting:
            followers[u].append(v)
            waiting[v] += 1
    order = [i for i in nodes if waiting[i] == 0]
    for i in order:  # grows
        for j in followers[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                order.append(j)
    if len(order) < len(nodes):
        cycle = [source for source, _ in nx.find_cycle(graph)]
        raise SpaceError(
            f"The graph has the cycle {[*cycle, cycle[0]]}; an architecture is a DAG, so unroll "
            "it or leave one of its edges out."
        )
    return order


def _numbered(
    names: Sequence[Hashable], ops: Sequence[Choice], order: Sequence[int], edges: Edges
) -> Sorted:
    """Number the vertices in ``order``; -1 and -2 are an added input and output."""
    place = {node: i for i, node in enumerate(order)}
    added: dict[int, str] = {-1: INPUT, -2: OUTPUT}
    return Sorted(
        tuple(ops[i] if i >= 0 else added[i] for i in order),
        tuple(sorted((place[u], place[v]) for u, v in edges)),
        tuple(names[i] if i >= 0 else added[i] for i in order),
    )
