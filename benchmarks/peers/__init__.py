"""The samplers that are compared.

A method is a module with a function ``sampler(setting)`` that returns an Optuna sampler, or, if it
differs from another method in a part only, an entry of :data:`benchmarks.peers.variants.VARIANTS`.
Modules that begin with an underscore are helpers.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from optuna.samplers import BaseSampler
from optuna.study import Study

from optuna_tnas.spaces import Space


@dataclass(frozen=True)
class Setting:
    """The inputs of a method for one search; the target's table is not among them.

    Attributes:
        space: The search space.
        history: Past studies, one per past task.
        seed: The sampler's seed.
        cache: A folder for what the method learns from this history; it belongs to this space,
            target, history and seed and may not exist yet.
    """

    space: Space
    history: tuple[Study, ...]
    seed: int
    cache: Path


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    from benchmarks.peers.variants import VARIANTS  # imports this module

    modules = {m.name for m in iter_modules(__path__) if not m.name.startswith("_")}
    return sorted(modules - {"variants"} | VARIANTS.keys())


def make(method: str, setting: Setting) -> BaseSampler:
    """Make the sampler of a method for one search."""
    from benchmarks.peers.variants import VARIANTS

    if method in VARIANTS:
        return VARIANTS[method](setting)
    sampler: BaseSampler = import_module(f"{__name__}.{method}").sampler(setting)
    return sampler
