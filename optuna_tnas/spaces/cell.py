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
from optuna_tnas.spaces.declaration import refuse_repeats
from optuna_tnas.spaces.declaration import rename
from optuna_tnas.spaces.declaration import Vertex
from optuna_tnas.spaces.declared import DeclaredSpace


@dataclass(frozen=True)
class SomeOf:
    """The node reads exactly ``k`` different ``sources``; parameter ``link_<node>`` says which.

    Its choices are the combinations, such as ``"a,b"``. With ``ops``, each chosen edge carries
    an operation: a vertex ``<node>_<i>`` of its own, chosen by the parameter ``op_<node>_<i>``.
    """

    k: int
    sources: tuple[str, ...]
    ops: tuple[Choice, ...]

    def __init__(self, k: int, *sources: str, ops: Sequence[Choice] = ()) -> None:
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "ops", tuple(ops))

    @property
    def combinations(self) -> list[tuple[str, ...]]:
        """What may be read together, each in the order of ``sources``."""
        return list(combinations(self.sources, self.k))

    def choices(self, source: str, places: Sequence[int]) -> tuple[int, ...]:
        """Number the combinations that have ``source`` at one of ``places``."""
        read = [source in [chosen[p] for p in places] for chosen in self.combinations]
        return tuple(c for c, has_it in enumerate(read) if has_it)


class OneOf(SomeOf):
    """The node reads exactly one of ``sources``; parameter ``link_<node>`` says which."""

    def __init__(self, *sources: str, ops: Sequence[Choice] = ()) -> None:
        super().__init__(1, *sources, ops=ops)


@dataclass(frozen=True)
class Maybe:
    """An optional edge; the boolean parameter ``edge_<source>_<node>`` decides."""

    source: str


Input = str | Maybe | SomeOf


@dataclass(frozen=True)
class Node:
    """One operation of a cell.

    Attributes:
        name: The node's own name.
        ops: Its operations; more than one become the parameter ``op_<name>``.
        inputs: Names of the earlier nodes that it reads, ``"input"``, :class:`Maybe`,
            :class:`OneOf` or :class:`SomeOf`. The parameter of a second choice of sources is
            ``link_<name>_2``, and so on.
    """

    name: str
    ops: Sequence[Choice]
    inputs: Sequence[Input] = (INPUT,)


class CellSpace(DeclaredSpace):
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
        output: Sequence[Input] | None = None,
        zero: Sequence[Choice] = (),
        names: Sequence[str] | None = None,
    ) -> None:
        builder = _Builder()
        for node in nodes:
            builder.add_node(node)
        if output is not None:
            builder.add_output(output)
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


_Source = tuple[int, Condition | None]  # a slot that is read, and when


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
        sources = self._sources(node.name, node.inputs)
        self._slots[node.name] = self._add_vertex(node.name, node.ops, sources)

    def add_output(self, inputs: Sequence[Input]) -> None:
        sources = self._sources(OUTPUT, inputs)
        self._connect(OUTPUT, len(self.vertices) + 1, sources)

    def _add_vertex(self, name: str, ops: Sequence[Choice], sources: Sequence[_Source]) -> int:
        own = (self._add_parameter(f"op_{name}", ops),) if len(ops) > 1 else ()
        self.vertices.append(Vertex(name, own, tuple(ops)))
        self._connect(name, len(self.vertices), sources)
        return len(self.vertices)

    def _sources(self, name: str, inputs: Sequence[Input]) -> list[_Source]:
        """What the node reads; adds the parameters that decide, and operations on its edges."""
        sources: list[_Source] = []
        n_links = n_edges = 0
        for source in inputs:
            if isinstance(source, SomeOf):
                n_links += 1
                link = f"link_{name}" if n_links == 1 else f"link_{name}_{n_links}"
                sources += self._chosen(name, link, source, n_edges)
                n_edges += source.k if source.ops else 0
            elif isinstance(source, Maybe):
                edge = self._add_parameter(f"edge_{source.source}_{name}", (False, True))
                sources.append((self._slot(source.source, name), Condition(edge, (1,))))
            else:
                sources.append((self._slot(source, name), None))
        return sources

    def _chosen(self, name: str, link: str, some: SomeOf, n_edges: int) -> list[_Source]:
        """What a choice of sources reads, itself or through operations on its edges."""
        slots = [self._slot(source, name) for source in some.sources]
        parameter = self._add_link(name, link, some)

        def read(places: Sequence[int]) -> list[_Source]:
            choices = [some.choices(source, places) for source in some.sources]
            pairs = zip(slots, choices, strict=True)
            return [(slot, Condition(parameter, chosen)) for slot, chosen in pairs if chosen]

        if not some.ops:
            return read(range(some.k))
        return [
            (self._add_vertex(f"{name}_{n_edges + p + 1}", some.ops, read([p])), None)
            for p in range(some.k)
        ]

    def _add_link(self, name: str, link: str, some: SomeOf) -> int:
        refuse_repeats(f"source of {name!r},", some.sources)
        if some.sources and not 1 <= some.k <= len(some.sources):
            raise SpaceError(
                f"Node {name!r} cannot read {some.k} of {list(some.sources)}; give 1 to "
                f"{len(some.sources)}."
            )
        return self._add_parameter(link, [",".join(chosen) for chosen in some.combinations])

    def _add_parameter(self, name: str, choices: Sequence[Choice]) -> int:
        self.parameters.append(Parameter(name, tuple(choices)))
        return len(self.parameters) - 1

    def _slot(self, source: str, name: str) -> int:
        if source not in self._slots:
            raise SpaceError(
                f"Node {name!r} reads {source!r}, which is not declared before it; known so far: "
                f"{sorted(self._slots)}."
            )
        return self._slots[source]

    def _connect(self, name: str, target: int, sources: Sequence[_Source]) -> None:
        slots = [slot for slot, _ in sources]
        twice = [source for source, slot in self._slots.items() if slots.count(slot) > 1]
        if twice:
            raise SpaceError(
                f"The edge '{twice[0]} -> {name}' is used twice; to choose different sources, "
                "write SomeOf(2, ...), or give each edge its operation, OneOf(..., ops=[...])."
            )
        self.edges.extend(Edge(slot, target, when) for slot, when in sources)
