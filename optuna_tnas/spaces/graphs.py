"""Architectures as labeled DAGs: batches of arrays, networkx graphs, and dead operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import networkx as nx
import numpy as np

from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import Declaration
from optuna_tnas.spaces.declaration import INPUT
from optuna_tnas.spaces.declaration import OUTPUT
from optuna_tnas.spaces.declaration import Vertex


ABSENT = -1
_MAX_DENSE = 64  # slots up to which sums over matrices are faster than sums over edges
# Entries of the adjacency matrices of a listed space: within some 10 s for the first suggestion
# and 1 GB, on one thread.
MAX_ADJACENCY = 8_000_000


@dataclass(frozen=True)
class GraphBatch:
    """``B`` DAGs over ``V`` slots in topological order.

    The first slot holds the input vertex and the last one the output vertex; a slot without a
    vertex is ``ABSENT`` and has no edges, so graphs of different size share one batch.

    Attributes:
        ops: ``B x V`` int64, each vertex's position in the vocabulary.
        adjacency: ``B x V x V`` bool, ``adjacency[b, u, v]`` is the edge from ``u`` to ``v``.
    """

    ops: np.ndarray
    adjacency: np.ndarray

    def __len__(self) -> int:
        return len(self.ops)

    @property
    def present(self) -> np.ndarray:
        """``B x V`` bool: the slots that hold a vertex."""
        return np.asarray(self.ops != ABSENT)

    def reversed(self) -> GraphBatch:
        """Turn every edge around, and with them the order of the slots."""
        return GraphBatch(self.ops[:, ::-1], self.adjacency[:, ::-1, ::-1].swapaxes(1, 2))

    def pruned(self) -> GraphBatch:
        """Remove the vertices on no path from input to output.

        Input and output stay, even where nothing connects them.
        """
        before = _reachable(self.reversed().adjacency)[:, ::-1]
        alive = _reachable(self.adjacency) & before
        alive[:, 0] = alive[:, -1] = True
        return GraphBatch(
            np.where(alive, self.ops, ABSENT),
            self.adjacency & alive[:, :, None] & alive[:, None, :],
        )

    def unique(self) -> tuple[GraphBatch, np.ndarray]:
        """Return the distinct graphs, and each graph's position among them (``B`` int64)."""
        n_slots = self.ops.shape[1]
        edges = self.adjacency.reshape(len(self), n_slots**2)
        flat = np.concatenate([self.ops.astype(np.int16), edges], axis=1)
        rows = np.ascontiguousarray(flat).view([("", flat.dtype)] * flat.shape[1]).ravel()
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        return GraphBatch(self.ops[first], self.adjacency[first]), inverse

    def classes(self) -> tuple[GraphBatch, np.ndarray]:
        """Return one graph of each isomorphism class, and each graph's class (``B`` int64).

        Classes are those of color refinement (Weisfeiler-Lehman). The rare graphs that it cannot
        tell apart share a class; no encoder that passes messages along edges tells them apart.
        """
        _, first, inverse = np.unique(self.hashes(), return_index=True, return_inverse=True)
        return GraphBatch(self.ops[first], self.adjacency[first]), inverse

    def hashes(self) -> np.ndarray:
        """Hash each graph by refining its vertices' colors until they stand: ``B`` uint64.

        Neighbors' hashes are added up, so their order does not matter; 64 bits leave no chance
        of collisions among the graphs that a machine can hold.
        """
        colors = self.colors()
        n_slots, n_colors = self.ops.shape[1], 0
        for _ in range(n_slots):
            colors = self.refined(colors)
            if n_slots > _MAX_DENSE:  # stop once no color is split further
                n_before, n_colors = n_colors, len(np.unique(colors))
                if n_colors == n_before:
                    break
        return np.asarray((mix(colors, salt=6) * self.present).sum(axis=1, dtype=np.uint64))

    def colors(self) -> np.ndarray:
        """Hash each vertex's operation: ``B x V`` uint64."""
        return mix(self.ops.astype(np.uint64), salt=1)

    def refined(self, colors: np.ndarray, *, readers: bool = True) -> np.ndarray:
        """Hash each vertex's color with its inputs' colors: ``B x V`` uint64.

        Args:
            colors: ``B x V`` uint64.
            readers: Whether the colors of the vertices that read it count too.
        """
        near = colors + self._summed(mix(colors, salt=2), 0)
        if readers:
            near = near + mix(self._summed(mix(colors, salt=3), 1), salt=4)
        return mix(near, salt=5)

    def _summed(self, x: np.ndarray, side: int) -> np.ndarray:
        """Add up ``x`` over a vertex's inputs (``side`` 0) or its readers (1): ``B x V``."""
        if self.ops.shape[1] <= _MAX_DENSE:
            subscripts = "buv,bv->bu" if side else "buv,bu->bv"
            return np.asarray(np.einsum(subscripts, self.adjacency.astype(np.uint64), x))
        graph, *ends = self._edges
        total = np.zeros_like(x)
        np.add.at(total, (graph, ends[1 - side]), x[graph, ends[side]])
        return total

    @cached_property
    def _edges(self) -> tuple[np.ndarray, ...]:
        return np.nonzero(self.adjacency)


def mix(x: np.ndarray, salt: int) -> np.ndarray:
    """Hash each uint64 with SplitMix64's output function (Steele et al., OOPSLA 2014).

    Args:
        x: An array of any shape.
        salt: Selects one of many independent hash functions.
    """
    x = x + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def _reachable(adjacency: np.ndarray) -> np.ndarray:
    """Mark the vertices that the first slot reaches, in topological slots: ``B x V`` bool."""
    n_graphs, n_slots, _ = adjacency.shape
    reached = np.zeros((n_graphs, n_slots), dtype=bool)
    reached[:, 0] = True
    for v in range(1, n_slots):
        reached[:, v] = (reached & adjacency[:, :, v]).any(axis=1)
    return reached


def prune(graph: nx.DiGraph, zero: Sequence[Choice] = ()) -> nx.DiGraph:
    """Remove the zero operations and all that lies on no path from input to output.

    Args:
        graph: One input, one output, node attribute ``op``.
        zero: Labels of operations that output zeros, such as ``"none"``.
    """
    kept = graph.subgraph([v for v, op in graph.nodes(data="op") if op not in zero])
    source = next(v for v, op in kept.nodes(data="op") if op == INPUT)
    sink = next(v for v, op in kept.nodes(data="op") if op == OUTPUT)
    after = nx.descendants(kept, source) | {source}
    before = nx.ancestors(kept, sink) | {sink}
    return nx.DiGraph(kept.subgraph((after & before) | {source, sink}))


# --- the graphs of a declaration ------------------------------------------------------------


def declared_graphs(declaration: Declaration, X: np.ndarray) -> GraphBatch:
    """Build the graphs of ``n x P`` architectures, zero operations among their vertices."""
    n_slots = len(declaration.slots)
    ops = np.full((len(X), n_slots), ABSENT, dtype=np.int64)
    ops[:, 0] = declaration.vocabulary[INPUT]
    ops[:, -1] = declaration.vocabulary[OUTPUT]
    for slot, vertex in enumerate(declaration.vertices, start=1):
        ops[:, slot] = _labels(declaration, vertex, X)
    adjacency = np.zeros((len(X), n_slots, n_slots), dtype=bool)
    for edge in declaration.edges:
        adjacency[:, edge.source, edge.target] = edge.when.holds(X) if edge.when else True
    present = ops != ABSENT
    adjacency &= present[:, :, None] & present[:, None, :]
    if declaration.leaves_to_output:
        adjacency[:, 1:-1, -1] = present[:, 1:-1] & ~adjacency[:, 1:-1, 1:-1].any(axis=2)
    return GraphBatch(ops, adjacency)


def _labels(declaration: Declaration, vertex: Vertex, X: np.ndarray) -> np.ndarray:
    """Look up the vertex's operation in each of ``n x P`` architectures: ``n`` int64."""
    vocabulary = declaration.vocabulary
    table = np.array([ABSENT if op is None else vocabulary[op] for op in vertex.ops])
    position = np.zeros(len(X), dtype=np.int64)
    for p in vertex.parameters:
        position = position * len(declaration.parameters[p].choices) + X[:, p]
    return np.asarray(table[position])


def without_zeros(declaration: Declaration, batch: GraphBatch) -> GraphBatch:
    """Remove the declaration's zero operations and their edges."""
    dead = [declaration.vocabulary[op] for op in declaration.zero if op is not None]
    ops = np.where(np.isin(batch.ops, dead), ABSENT, batch.ops)
    kept = ops != ABSENT
    return GraphBatch(ops, batch.adjacency & kept[:, :, None] & kept[:, None, :])


def to_networkx(declaration: Declaration, row: np.ndarray) -> nx.DiGraph:
    """Build one architecture's graph, nodes named as declared, with node attribute ``op``."""
    batch = declared_graphs(declaration, row[None])
    names, labels = declaration.slots, list(declaration.vocabulary)
    graph = nx.DiGraph()
    for name, op in zip(names, batch.ops[0], strict=True):
        if op != ABSENT:
            graph.add_node(name, op=labels[op])
    graph.add_edges_from((names[u], names[v]) for u, v in np.argwhere(batch.adjacency[0]))
    return graph


def from_networkx(declaration: Declaration, graph: nx.DiGraph) -> np.ndarray | None:
    """Find the choices (``P`` int64) that no vertex and no edge of the graph contradicts.

    None if there are none. The graph may still be another than theirs: compare it with
    :func:`to_networkx`.
    """
    domains = [set(range(len(p.choices))) for p in declaration.parameters]
    for vertex in declaration.vertices:
        _restrict_by_label(declaration, vertex, graph, domains)
    _restrict_by_edges(declaration, graph, domains)
    if not all(domains):
        return None
    return np.array([min(domain) for domain in domains], dtype=np.int64)


def _restrict_by_label(
    declaration: Declaration, vertex: Vertex, graph: nx.DiGraph, domains: list[set[int]]
) -> None:
    label = graph.nodes[vertex.name].get("op") if vertex.name in graph else None
    choices = [range(len(declaration.parameters[p].choices)) for p in vertex.parameters]
    rows = [c for c, op in zip(product(*choices), vertex.ops, strict=True) if op == label]
    for k, p in enumerate(vertex.parameters):
        domains[p] &= {row[k] for row in rows}


def _restrict_by_edges(
    declaration: Declaration, graph: nx.DiGraph, domains: list[set[int]]
) -> None:
    names = declaration.slots
    for edge in declaration.edges:
        source, target = names[edge.source], names[edge.target]
        if edge.when is None or source not in graph or target not in graph:
            continue
        if (source, target) in graph.edges:
            domains[edge.when.parameter] &= set(edge.when.choices)
        else:
            domains[edge.when.parameter] -= set(edge.when.choices)


def same_graph(a: nx.DiGraph, b: nx.DiGraph) -> bool:
    """Compare two graphs' named vertices, their operations and their edges."""
    return dict(a.nodes(data="op")) == dict(b.nodes(data="op")) and set(a.edges) == set(b.edges)
