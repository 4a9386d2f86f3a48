"""The samplers that are compared.

A method is a module with a function ``sampler(setting)`` that returns an Optuna sampler, or, if it
differs from another method in a part only, an entry of :data:`benchmarks.peers.variants.VARIANTS`.
Modules that begin with an underscore are helpers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study

from optuna_tnas import DatasetSample
from optuna_tnas.spaces import Space


# Methods that search architecture and hyper-parameters together.
JOINT = frozenset(
    [
        "evolution",
        "gp",
        "gp_ei",
        "gp_ucb",
        "random",
        "rgpe",
        "tnas",
        "tnas_untrained",
        "tpe",
        "tpe_group",
        "warm_gp",
    ],
)

# Methods that read samples of the data sets, which tables do not have.
OF_DATASETS = frozenset(["metad2a"])


@dataclass(frozen=True)
class Setting:
    """The inputs of a method for one search; the target's table is not among them.

    Attributes:
        space: The space of the architectures.
        history: Past studies, one per past task.
        seed: The sampler's seed.
        cache: A folder for what the method learns from this history; it belongs to this space,
            target, history and seed and may not exist yet.
        hyperparameters: What is searched beside the architecture, by name.
        dataset: A sample of the target's data set, if known.
        samples: Those of the past studies' data sets, by study name.
    """

    space: Space
    history: tuple[Study, ...]
    seed: int
    cache: Path
    hyperparameters: Mapping[str, BaseDistribution] = field(default_factory=dict)
    dataset: DatasetSample | None = None
    samples: Mapping[str, DatasetSample] = field(default_factory=dict)


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    from benchmarks.peers.variants import VARIANTS  # imports this module

    modules = {m.name for m in iter_modules(__path__) if not m.name.startswith("_")}
    return sorted(modules - {"variants"} | VARIANTS.keys())


def make(method: str, setting: Setting) -> BaseSampler:
    """Make the sampler of a method for one search.

    Raises:
        ValueError: If there are hyper-parameters, which the method cannot search, or if it reads
            data sets and lacks one.
    """
    from benchmarks.peers.variants import VARIANTS

    if setting.hyperparameters and method not in JOINT:
        raise ValueError(f"{method} searches no hyper-parameters; choose of {sorted(JOINT)}")
    if method in OF_DATASETS:
        _check_datasets(method, setting)
    if method in VARIANTS:
        return VARIANTS[method](setting)
    sampler: BaseSampler = import_module(f"{__name__}.{method}").sampler(setting)
    return sampler


def _check_datasets(method: str, setting: Setting) -> None:
    if setting.dataset is None:
        raise ValueError(f"{method} reads the target's data set; give the setting its dataset")
    unknown = {study.study_name for study in setting.history} - setting.samples.keys()
    if unknown:
        raise ValueError(
            f"{method} reads the past data sets; the setting's samples lack {sorted(unknown)}"
        )
