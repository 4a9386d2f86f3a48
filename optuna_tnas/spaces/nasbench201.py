"""NAS-Bench-201 (Dong and Yang, ICLR 2020): 4 nodes, 6 edges, 5 operations, 15,625 cells."""

from __future__ import annotations

from collections.abc import Sequence

from optuna_tnas.spaces.cell import CellSpace
from optuna_tnas.spaces.cell import edge_nodes


NASBENCH201_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


class NASBench201Space(CellSpace):
    """Parameters ``op_0_1, op_0_2, op_1_2, op_0_3, op_1_3, op_2_3``: an operation per edge.

    The graph has the six operations as vertices and their true dependencies as edges (the
    authors of TNAS chain all six).

    Args:
        names: The user's names for the six parameters, in that order.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        nodes, output = edge_nodes(4, NASBENCH201_OPS)
        super().__init__(nodes, output=output, zero=("none",), names=names)
