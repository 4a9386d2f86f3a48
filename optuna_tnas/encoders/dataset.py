"""phi: a data set as a vector, by two stacked Set Transformers.

Lee et al., "Set Transformer" (ICML 2019); stacked within and across classes by Lee et al.,
"MetaD2A" (ICLR 2021) and TNAS.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


class DatasetEncoder(nn.Module):
    """Encodes a data set, given as points grouped by class.

    The first Set Transformer turns each class's points into a class vector, the second turns
    the class vectors into the data set's encoding. Neither depends on an order, and both take
    any number of members.

    Args:
        n_features: Width F of a point.
        width: Width of the attention blocks; a multiple of ``heads``.
        heads: Attention heads.
        dim: Width K of the encoding.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, n_features: int, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.within_class = SetEncoder(n_features, width, heads, width)
        self.across_classes = SetEncoder(width, width, heads, dim)
        # What stands for a data set of which nothing is known; learned like a weight.
        self.unknown = nn.Parameter(torch.zeros(dim))
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("feature_scale", torch.ones(n_features))

    @property
    def n_features(self) -> int:
        """Width F of a point."""
        return len(self.feature_mean)

    def forward(self, points: Tensor, present: Tensor) -> Tensor:
        """Encode one data set.

        Args:
            points: ``C x N x F``, up to N points of each of C classes.
            present: ``C x N`` bool, False where a class has fewer than N points.

        Returns:
            ``K`` encoding.
        """
        encoding: Tensor = self.together([points], [present])[0]
        return encoding

    def together(self, points: Sequence[Tensor], present: Sequence[Tensor]) -> Tensor:
        """Encode Q data sets in one pass: Q of each argument of :meth:`forward` -> ``Q x K``."""
        width = max(p.shape[1] for p in points)
        classes = self.within_class(
            (_widened(points, width) - self.feature_mean) / self.feature_scale,
            _widened(present, width),
        )  # all classes of all data sets x width
        sizes = [len(p) for p in points]
        by_dataset = pad_sequence(list(classes.split(sizes)), batch_first=True)
        there = pad_sequence([present[0].new_ones(n) for n in sizes], batch_first=True)
        encodings: Tensor = self.across_classes(by_dataset, there)
        return encodings


def _widened(tensors: Sequence[Tensor], width: int) -> Tensor:
    """``C_q x N_q [x F]`` each -> ``sum C_q x width [x F]``, with zeros behind."""
    whole = [t.new_zeros(len(t), width, *t.shape[2:]) for t in tensors]
    for all_slots, t in zip(whole, tensors, strict=True):
        all_slots[:, : t.shape[1]] = t
    return torch.cat(whole)


class SetEncoder(nn.Module):
    """Two self-attention blocks, pooling by attention with one seed, one linear layer.

    Args:
        n_features: Width of a member.
        width: Width of the blocks.
        heads: Attention heads.
        dim: Width of the set's encoding.
    """

    def __init__(self, n_features: int, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.embed = nn.Linear(n_features, width)
        self.blocks = nn.ModuleList([AttentionBlock(width, heads) for _ in range(2)])
        self.seed = nn.Parameter(torch.empty(1, 1, width))
        nn.init.xavier_uniform_(self.seed)
        self.pool = AttentionBlock(width, heads)
        self.out = nn.Linear(width, dim)

    def forward(self, members: Tensor, present: Tensor) -> Tensor:
        """``B x N x F`` members, ``B x N`` bool -> ``B x dim``."""
        hidden = self.embed(members)
        for block in self.blocks:
            hidden = block(hidden, hidden, present)
        pooled = self.pool(self.seed.expand(len(members), -1, -1), hidden, present)
        encoding: Tensor = self.out(pooled[:, 0])
        return encoding


class AttentionBlock(nn.Module):
    """MAB without layer norm: ``H = Q + Attention(Q, K, K)``, ``H + ReLU(W H)``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, present: Tensor) -> Tensor:
        """``B x Q x width``, ``B x N x width``, ``B x N`` bool -> ``B x Q x width``."""
        attended, _ = self.attention(
            queries, keys, keys, key_padding_mask=~present, need_weights=False
        )
        hidden = queries + attended
        out: Tensor = hidden + torch.relu(self.linear(hidden))
        return out
