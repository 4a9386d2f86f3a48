"""Data sets as points grouped by class, which the data set encoder reads."""

from optuna_tnas.datasets.featurizers import N_FEATURES
from optuna_tnas.datasets.sample import DatasetSample


__all__ = ["N_FEATURES", "DatasetSample"]
