"""psi: a labeled DAG as a vector, by GRU cells that walk it in both directions.

Zhang et al., "D-VAE" (NeurIPS 2019), as used by TNAS (Shala et al., ICLR 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch import Tensor
from torch.nn.functional import one_hot

from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.graphs import mix


class ArchitectureEncoder(nn.Module):
    """Encodes DAGs of any size and topology in one pass over the slots of a batch.

    A vertex's state is ``GRU(one-hot operation, message)``, its message the gated sum
    ``sum_u sigmoid(W_g h_u + b_g) * (W_m h_u)`` over its predecessors ``u``. A second cell does
    the same against the edges. The output vertex's forward state and the input vertex's
    backward state go through two fully connected layers. D-VAE also feeds each predecessor's
    number into its message; it is left out here, since the encoding must not depend on how
    unordered vertices are numbered.

    Args:
        n_ops: Size of the vocabulary of operations.
        hidden: Width H of the states.
        dim: Width L of the encoding.
    """

    def __init__(self, n_ops: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.n_ops = n_ops
        self.forward_walk = _Walk(n_ops, hidden)
        self.backward_walk = _Walk(n_ops, hidden)
        self.readout = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, dim)
        )

    def forward(self, graphs: GraphBatch) -> Tensor:
        """Encode a batch: ``B x L``."""
        after = self.forward_walk(graphs)
        before = self.backward_walk(graphs.reversed())
        encoding: Tensor = self.readout(torch.cat([after, before], dim=-1))
        return encoding


class _Walk(nn.Module):
    """One direction: the state of the last slot after all others.

    A vertex's state depends on nothing but what leads to it, so vertices of different graphs
    with equal ancestors share one: the 8,765 different networks of NAS-Bench-201 have 341
    different states in all slots but the last.
    """

    def __init__(self, n_ops: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(n_ops, hidden)
        self.gate = nn.Linear(hidden, hidden)
        self.map = nn.Linear(hidden, hidden, bias=False)

    def forward(self, graphs: GraphBatch) -> Tensor:
        """Compute the last slots' states: ``B x H``."""
        plan = _Plan.of(graphs)
        features = one_hot(self._tensor(plan.ops), self.cell.input_size).to(self.map.weight.dtype)
        state = messages = features.new_empty(0, self.cell.hidden_size)
        for rows, sources, targets in plan.steps:
            incoming = messages.new_zeros(rows.stop - rows.start, messages.shape[1])
            if len(sources):
                arriving = messages[self._tensor(sources)]
                incoming = incoming.index_add(0, self._tensor(targets), arriving)
            state = self.cell(features[rows], incoming)
            messages = torch.cat([messages, torch.sigmoid(self.gate(state)) * self.map(state)])
        last: Tensor = state[self._tensor(plan.last)]
        return last

    def _tensor(self, positions: np.ndarray) -> Tensor:
        return torch.from_numpy(positions).to(self.map.weight.device)


@dataclass(frozen=True)
class _Plan:
    """Which states to compute in which order.

    Attributes:
        ops: ``S`` int64, the operation of each distinct vertex, by slots.
        steps: For each slot: its rows of the distinct vertices, the positions of the messages
            that arrive there, and in which of its rows each arrives.
        last: ``B`` int64, each graph's row in the last step.
    """

    ops: np.ndarray
    steps: Sequence[tuple[slice, np.ndarray, np.ndarray]]
    last: np.ndarray

    @classmethod
    def of(cls, graphs: GraphBatch) -> _Plan:
        """Find the vertices of ``B`` graphs that differ in operation or ancestors."""
        n_graphs, n_slots = graphs.ops.shape
        slots, rows = np.nonzero(graphs.present.T)  # all vertices, by slots
        colors = _ancestors(graphs)[rows, slots]
        _, first, inverse = np.unique(colors, return_index=True, return_inverse=True)
        first, rank = np.sort(first), np.argsort(np.argsort(first))
        place = np.zeros((n_graphs, n_slots), dtype=np.int64)
        place[rows, slots] = rank[inverse]
        slots, rows = slots[first], rows[first]
        ends = np.searchsorted(slots, np.arange(n_slots + 1))
        targets, read = np.nonzero(graphs.adjacency[rows, :, slots])
        sources = place[rows[targets], read]
        edges = np.searchsorted(targets, ends)
        steps = [
            (slice(a, b), sources[c:d], targets[c:d] - a)
            for (a, b), (c, d) in zip(
                pairwise(ends.tolist()), pairwise(edges.tolist()), strict=True
            )
            if a < b
        ]
        start = steps[-1][0].start if steps else 0
        return cls(graphs.ops[rows, slots], steps, place[:, -1] - start)


def _ancestors(graphs: GraphBatch) -> np.ndarray:
    """Hash each vertex's operation and all that leads to it: ``B x V`` uint64."""
    colors = graphs.colors()
    messages = np.zeros_like(colors)
    for v in range(colors.shape[1]):
        incoming = (graphs.adjacency[:, :v, v] * messages[:, :v]).sum(axis=1, dtype=np.uint64)
        colors[:, v] = mix(colors[:, v] + incoming, salt=5)
        messages[:, v] = mix(colors[:, v], salt=2)
    return colors
