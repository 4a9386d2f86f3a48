"""Weisfeiler-Lehman features: how often each labeled subtree of a height occurs in a graph.

Shervashidze et al., Weisfeiler-Lehman Graph Kernels, JMLR 2011.
"""

from __future__ import annotations

import numpy as np

from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.graphs import mix


def subtree_counts(graphs: GraphBatch, height: int) -> list[np.ndarray]:
    """Count the subtrees of height 0, 1, ...: ``height + 1`` arrays ``B x F``.

    A vertex is the root of one subtree of each height; its branches are the vertices that read
    it. Subtrees are told apart by 64-bit hashes; that two agree by chance is a matter of 1e-12.
    """
    labels = mix(graphs.ops.astype(np.uint64), salt=1)
    counts = [_counts(labels, graphs.present)]
    for _ in range(height):
        # Branches have no order, so theirs is a sum. It is mixed with the root after another
        # mix, or else root and branches could be exchanged.
        branches = np.where(graphs.adjacency, mix(labels, salt=1)[:, None, :], np.uint64(0)).sum(
            axis=2
        )
        labels = mix(labels + mix(branches, salt=1), salt=1)
        counts.append(_counts(labels, graphs.present))
    return counts


def normalized_kernel(counts: list[np.ndarray]) -> np.ndarray:
    """Return ``B x B`` dot products of all counts, scaled to 1 for a graph with itself."""
    features = np.concatenate(counts, axis=1)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features @ features.T)


def _counts(labels: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Count how often each label occurs in each graph: ``B x V`` -> ``B x F``."""
    kinds, kind = np.unique(labels[present], return_inverse=True)
    counts = np.zeros((len(labels), len(kinds)))
    np.add.at(counts, (np.nonzero(present)[0], kind), 1.0)
    return counts
