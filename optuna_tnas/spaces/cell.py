"""A user's own cell: operations on vertices or on edges, optional and chosen inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import INPUT
from optuna_tnas.spaces.declaration import OUTPUT
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import rename
from optuna_tnas.spaces.declaration import Vertex
from optuna_tnas.spaces.space import Space


@dataclass(frozen=True)
class OneOf:
    """The node reads exactly one of ``sources``; parameter ``link_<node>`` says which."""

    sources: tuple[str, ...]

    def __init__(self, *sources: str) -> None:
        object.__setattr__(self, "sources", sources)


@dataclass(frozen=True)
class Maybe:
    """An optional edge; the boolean parameter ``edge_<source>_<node>`` decides."""

    source: str


@dataclass(frozen=True)
class Node:
    """One operation of a cell.

    Attributes:
        name: The node's own name.
        ops: Its operations; more than one become the parameter ``op_<name>``.
        inputs: Names of the earlier nodes that it reads, ``"input"``, :class:`Maybe` or
            :class:`OneOf`.
    """

    name: str
    ops: Sequence[Choice]
    inputs: Sequence[str | Maybe | OneOf] = (INPUT,)


class CellSpace(Space):
    """A space of cells, declared node by node.

    NAS-Bench-Graph, for example, has four operations, each reading the cell's input or an
    earlier operation, and what nobody reads feeds the output::

        names = ["a", "b", "c", "d"]
        CellSpace([Node(n, OPS, [OneOf("input", *names[:i])]) for i, n in enumerate(names)])

    Args:
        nodes: In an order in which every node follows what it reads.
        output: The nodes that feed the output; all that no other node reads unless given.
        zero: Operations that output zeros, such as ``"none"``.
        names: The user's names for the parameters, in the order of :meth:`distributions`.

    Raises:
        SpaceError: If a node reads one that is not declared before it, or names repeat.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        output: Sequence[str | Maybe | OneOf] | None = None,
        zero: Sequence[Choice] = (),
        names: Sequence[str] | None = None,
    ) -> None:
        builder = _Builder()
        for node in nodes:
            builder.add_node(node)
        if output is not None:
            builder.add_inputs(OUTPUT, len(nodes) + 1, output)
        super().__init__(
            rename(builder.parameters, names),
            tuple(builder.vertices),
            tuple(builder.edges),
            tuple(zero),
            leaves_to_output=output is None,
        )

    @classmethod
    def on_edges(
        cls,
        n_nodes: int,
        ops: Sequence[Choice],
        *,
        zero: Sequence[Choice] = (),
        names: Sequence[str] | None = None,
    ) -> CellSpace:
        """Declare a cell with an operation on every edge ``i -> j`` of ``n_nodes`` summing nodes.

        Parameters are ``op_<i>_<j>``, ordered by ``j`` then ``i``. Each becomes a vertex that
        reads the operations on the edges into ``i``: the operations' true dependencies.
        """
        nodes, output = edge_nodes(n_nodes, ops)
        return cls(nodes, output=output, zero=zero, names=names)


def edge_nodes(n_nodes: int, ops: Sequence[Choice]) -> tuple[list[Node], list[str]]:
    """List the edges' operations of a fully connected cell as nodes, and those at the output."""
    edges = sorted(combinations(range(n_nodes), 2), key=lambda edge: (edge[1], edge[0]))
    nodes = [
        Node(f"{i}_{j}", ops, [f"{k}_{i}" for k in range(i)] if i else [INPUT]) for i, j in edges
    ]
    return nodes, [f"{i}_{n_nodes - 1}" for i in range(n_nodes - 1)]


class _Builder:
    """Turns nodes into parameters, vertices and edges."""

    def __init__(self) -> None:
        self.parameters: list[Parameter] = []
        self.vertices: list[Vertex] = []
        self.edges: list[Edge] = []
        self._slots = {INPUT: 0}

    def add_node(self, node: Node) -> None:
        if len(node.ops) == 0:
            raise SpaceError(f"Node {node.name!r} has no operations; give it at least one.")
        slot = len(self.vertices) + 1
        self.add_inputs(node.name, slot, node.inputs)
        own = (self._add_parameter(f"op_{node.name}", node.ops),) if len(node.ops) > 1 else ()
        self.vertices.append(Vertex(node.name, own, tuple(node.ops)))
        self._slots[node.name] = slot

    def add_inputs(self, name: str, slot: int, inputs: Sequence[str | Maybe | OneOf]) -> None:
        for source in inputs:
            if isinstance(source, OneOf):
                link = self._add_parameter(f"link_{name}", source.sources)
                for choice, chosen in enumerate(source.sources):
                    self._connect(chosen, name, slot, Condition(link, (choice,)))
            elif isinstance(source, Maybe):
                edge = self._add_parameter(f"edge_{source.source}_{name}", (False, True))
                self._connect(source.source, name, slot, Condition(edge, (1,)))
            else:
                self._connect(source, name, slot, None)

    def _add_parameter(self, name: str, choices: Sequence[Choice]) -> int:
        self.parameters.append(Parameter(name, tuple(choices)))
        return len(self.parameters) - 1

    def _connect(self, source: str, name: str, slot: int, when: Condition | None) -> None:
        if source not in self._slots:
            raise SpaceError(
                f"Node {name!r} reads {source!r}, which is not declared before it; known so far: "
                f"{sorted(self._slots)}."
            )
        self.edges.append(Edge(self._slots[source], slot, when))
