"""Search spaces: Optuna parameters on one side, labeled DAGs on the other."""

from optuna_tnas.spaces.cell import CellSpace
from optuna_tnas.spaces.cell import Maybe
from optuna_tnas.spaces.cell import Node
from optuna_tnas.spaces.cell import OneOf
from optuna_tnas.spaces.cell import SomeOf
from optuna_tnas.spaces.counting import count_macs
from optuna_tnas.spaces.counting import count_parameters
from optuna_tnas.spaces.declared import DeclaredSpace
from optuna_tnas.spaces.extended import ExtendedSpace
from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.graphs import prune
from optuna_tnas.spaces.mobilenetv3 import MobileNetV3Space
from optuna_tnas.spaces.nasbench201 import NASBench201Space
from optuna_tnas.spaces.space import Space
from optuna_tnas.spaces.subset import SubsetSpace


__all__ = [
    "CellSpace",
    "DeclaredSpace",
    "ExtendedSpace",
    "GraphBatch",
    "Maybe",
    "MobileNetV3Space",
    "NASBench201Space",
    "Node",
    "OneOf",
    "SomeOf",
    "Space",
    "SubsetSpace",
    "count_macs",
    "count_parameters",
    "prune",
]
