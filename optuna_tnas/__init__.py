"""Transfer neural architecture search for Optuna.

An Optuna sampler that starts a new architecture search with what earlier searches learned:
TNAS, "Transfer NAS with meta-learned Bayesian surrogates" (Shala et al., ICLR 2023).
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from optuna_tnas.config import Config
    from optuna_tnas.datasets.sample import DatasetSample
    from optuna_tnas.errors import OptunaTNASError
    from optuna_tnas.meta.training import meta_train
    from optuna_tnas.pruner import TNASPruner
    from optuna_tnas.sampler import TNASSampler
    from optuna_tnas.stopping import MinImprovementCallback
    from optuna_tnas.studies.history import MetaDataset
    from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


__all__ = [
    "Config",
    "DatasetSample",
    "MetaDataset",
    "MetaSurrogate",
    "MinImprovementCallback",
    "OptunaTNASError",
    "TNASPruner",
    "TNASSampler",
    "meta_train",
]

# Loaded when first used, since most of them import torch, which takes seconds.
_HOMES = {
    "Config": "optuna_tnas.config",
    "DatasetSample": "optuna_tnas.datasets.sample",
    "MetaDataset": "optuna_tnas.studies.history",
    "MetaSurrogate": "optuna_tnas.surrogate.meta_surrogate",
    "MinImprovementCallback": "optuna_tnas.stopping",
    "OptunaTNASError": "optuna_tnas.errors",
    "TNASPruner": "optuna_tnas.pruner",
    "TNASSampler": "optuna_tnas.sampler",
    "meta_train": "optuna_tnas.meta.training",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("optuna-tnas")  # of the package that is installed, from pyproject.toml
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
