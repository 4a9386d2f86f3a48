"""The samplers that are compared: one file each, whose name is the method's.

A peer's file has a function ``sampler(setting)`` that returns an Optuna sampler. Files that
begin with an underscore are helpers.
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
    """All that a method is told of a search; the target's table is not among it.

    Attributes:
        space: The search space.
        history: Past studies, one per past task.
        seed: Of the sampler.
        cache: A folder for what the method learns from this history; it belongs to this space,
            target, history and seed and may not exist yet.
    """

    space: Space
    history: tuple[Study, ...]
    seed: int
    cache: Path


def names() -> list[str]:
    """The methods there are."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def make(method: str, setting: Setting) -> BaseSampler:
    """The sampler of a method, for one search."""
    sampler: BaseSampler = import_module(f"{__name__}.{method}").sampler(setting)
    return sampler
