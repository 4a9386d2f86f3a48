"""Batches of labeled DAGs as arrays, and the removal of dead operations."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from optuna_tnas.errors import SpaceError


if TYPE_CHECKING:
    import torch


INPUT = "input"
OUTPUT = "output"
ABSENT = -1


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

    def pruned(self) -> GraphBatch:
        """The same graphs without the vertices on no path from input to output.

        Input and output stay, even where nothing connects them.
        """
        alive = (
            _reachable(self.adjacency)
            & _reachable(self.adjacency[:, ::-1, ::-1].swapaxes(1, 2))[:, ::-1]
        )
        alive[:, 0] = alive[:, -1] = True
        return GraphBatch(
            np.where(alive, self.ops, ABSENT),
            self.adjacency & alive[:, :, None] & alive[:, None, :],
        )

    def unique(self) -> tuple[GraphBatch, np.ndarray]:
        """The distinct graphs, and for each graph of this batch its position among them."""
        n_slots = self.ops.shape[1]
        edges = self.adjacency.reshape(len(self), n_slots**2)
        flat = np.concatenate([self.ops.astype(np.int16), edges], axis=1)
        rows = np.ascontiguousarray(flat).view([("", flat.dtype)] * flat.shape[1]).ravel()
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        return GraphBatch(self.ops[first], self.adjacency[first]), inverse

    def classes(self) -> tuple[GraphBatch, np.ndarray]:
        """As :meth:`unique`, but graphs that differ in the numbering of vertices are the same.

        So are the rare ones that color refinement (Weisfeiler-Lehman) cannot tell apart, which
        no encoder that passes messages along edges tells apart either.
        """
        _, first, inverse = np.unique(self._hashes(), return_index=True, return_inverse=True)
        return GraphBatch(self.ops[first], self.adjacency[first]), inverse

    def _hashes(self) -> np.ndarray:
        """``B`` uint64: a vertex's color is a hash of its own and its neighbors' colors.

        Neighbors' hashes are added up, so their order does not matter; 64 bits leave no chance
        of collisions among the graphs that a machine can hold.
        """
        colors = self.colors()
        for _ in range(self.ops.shape[1]):
            colors = self.refined(colors)
        return np.asarray((mix(colors, salt=6) * self.present).sum(axis=1, dtype=np.uint64))

    def colors(self) -> np.ndarray:
        """``B x V`` uint64: a hash of each vertex's operation."""
        return mix(self.ops.astype(np.uint64), salt=1)

    def refined(self, colors: np.ndarray, *, readers: bool = True) -> np.ndarray:
        """Hashes of each vertex's color, those of its inputs and, if asked, of its readers."""
        edges = self.adjacency.astype(np.uint64)
        near = colors + np.einsum("buv,bu->bv", edges, mix(colors, salt=2))
        if readers:
            after = np.einsum("buv,bv->bu", edges, mix(colors, salt=3))
            near = near + mix(after, salt=4)
        return mix(near, salt=5)

    def tensors(self, device: torch.device | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """``ops`` and ``adjacency`` as tensors on ``device`` (the CPU unless given)."""
        import torch

        device = device or torch.device("cpu")
        return (
            torch.from_numpy(np.ascontiguousarray(self.ops)).to(device),
            torch.from_numpy(np.ascontiguousarray(self.adjacency)).to(device),
        )

    @classmethod
    def from_networkx(
        cls, graphs: Sequence[nx.DiGraph], vocabulary: Mapping[str, int]
    ) -> GraphBatch:
        """Pack any graphs with one input and one output, sorted topologically.

        Raises:
            SpaceError: If a graph has an operation that the vocabulary lacks.
        """
        n_slots = max(graph.number_of_nodes() for graph in graphs)
        ops = np.full((len(graphs), n_slots), ABSENT, dtype=np.int64)
        adjacency = np.zeros((len(graphs), n_slots, n_slots), dtype=bool)
        for b, graph in enumerate(graphs):
            slots = _slots(graph, n_slots)
            for vertex, slot in slots.items():
                ops[b, slot] = _op_id(graph.nodes[vertex]["op"], vocabulary)
            for source, target in graph.edges:
                adjacency[b, slots[source], slots[target]] = True
        return cls(ops, adjacency)


def _slots(graph: nx.DiGraph, n_slots: int) -> dict[object, int]:
    """Slot of each vertex: input first, output last, the rest in topological order."""
    inner = [v for v in nx.topological_sort(graph) if graph.nodes[v]["op"] not in (INPUT, OUTPUT)]
    slots = {vertex: slot for slot, vertex in enumerate(inner, start=1)}
    for vertex, op in graph.nodes(data="op"):
        if op == INPUT:
            slots[vertex] = 0
        elif op == OUTPUT:
            slots[vertex] = n_slots - 1
    return slots


def _op_id(op: str, vocabulary: Mapping[str, int]) -> int:
    if op not in vocabulary:
        raise SpaceError(f"Operation {op!r} is not one of the space's: {sorted(vocabulary)}.")
    return vocabulary[op]


def mix(x: np.ndarray, salt: int) -> np.ndarray:
    """A hash of each uint64: the output function of SplitMix64 (Steele et al., OOPSLA 2014)."""
    x = x + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def _reachable(adjacency: np.ndarray) -> np.ndarray:
    """``B x V`` bool: the vertices that the first slot reaches, slots being topological."""
    n_graphs, n_slots, _ = adjacency.shape
    reached = np.zeros((n_graphs, n_slots), dtype=bool)
    reached[:, 0] = True
    for v in range(1, n_slots):
        reached[:, v] = (reached & adjacency[:, :, v]).any(axis=1)
    return reached


def prune(graph: nx.DiGraph, zero: Sequence[str] = ()) -> nx.DiGraph:
    """The graph that computes: without zero operations and what only they fed or consumed.

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
