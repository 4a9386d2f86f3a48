"""The three encoders, named as in the paper: psi (architecture), phi (data set), xi (joint)."""

from optuna_tnas.encoders.architecture import ArchitectureEncoder
from optuna_tnas.encoders.dataset import DatasetEncoder
from optuna_tnas.encoders.joint import JointEncoder


__all__ = ["ArchitectureEncoder", "DatasetEncoder", "JointEncoder"]
