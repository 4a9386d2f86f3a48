"""psi: a labeled DAG as a vector, by GRU cells that walk it in both directions.

Zhang et al., "D-VAE" (NeurIPS 2019), as used by TNAS (Shala et al., ICLR 2023).
"""

from __future__ import annotations

import torch
from torch import nn
from torch import Tensor
from torch.nn.functional import one_hot


class ArchitectureEncoder(nn.Module):
    """Encodes ``B`` DAGs of any size and topology in one pass over their ``V`` slots.

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

    def forward(self, ops: Tensor, adjacency: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            ops: ``B x V`` operation of each slot, -1 where there is no vertex; slots in
                topological order, the input first and the output last.
            adjacency: ``B x V x V`` bool, edge from row to column.

        Returns:
            ``B x L`` encodings.
        """
        present = (ops >= 0).unsqueeze(-1)  # B x V x 1
        features = one_hot(ops.clamp(min=0), self.n_ops) * present  # B x V x n_ops
        dtype = self.forward_walk.gate.weight.dtype
        edges, features = adjacency.to(dtype), features.to(dtype)
        after = self.forward_walk(features, edges)
        before = self.backward_walk(features.flip(1), edges.flip(1, 2).transpose(1, 2))
        encoding: Tensor = self.readout(torch.cat([after, before], dim=-1))
        return encoding


class _Walk(nn.Module):
    """One direction: the state of the last slot after all others.

    A slot without a vertex has a state too, but no edges, so nothing reads it.
    """

    def __init__(self, n_ops: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(n_ops, hidden)
        self.gate = nn.Linear(hidden, hidden)
        self.map = nn.Linear(hidden, hidden, bias=False)

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """``B x V x n_ops``, ``B x V x V`` -> ``B x H``."""
        n_graphs, n_slots, _ = features.shape
        read = edges.any(dim=0).cpu()  # V x V: the edges that any graph of the batch has
        messages: list[Tensor] = []
        for v in range(n_slots):
            sources = read[:v, v].nonzero().flatten().tolist()
            if sources:
                stacked = torch.stack([messages[u] for u in sources])
                incoming = torch.einsum("bu,ubh->bh", edges[:, sources, v], stacked)
            else:
                incoming = features.new_zeros(n_graphs, self.cell.hidden_size)
            state = self.cell(features[:, v], incoming)
            messages.append(torch.sigmoid(self.gate(state)) * self.map(state))
        last: Tensor = state
        return last
