"""Batches from any networkx graphs, for tests that renumber vertices."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence

import networkx as nx
import numpy as np

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import GraphBatch
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import INPUT
from optuna_tnas.spaces.declaration import OUTPUT
from optuna_tnas.spaces.graphs import ABSENT


def from_networkx(graphs: Sequence[nx.DiGraph], vocabulary: Mapping[Choice, int]) -> GraphBatch:
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
    return GraphBatch(ops, adjacency)


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


def _op_id(op: str, vocabulary: Mapping[Choice, int]) -> int:
    if op not in vocabulary:
        raise SpaceError(f"Operation {op!r} is not one of the space's: {sorted(vocabulary)}.")
    return vocabulary[op]
