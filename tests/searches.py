"""Searches that several test files run, and what is asked of their trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import Trial

from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space
from tests.small_config import SMALL


def sampler_of(space: Space, seed: int | None = 0, **kwargs: Any) -> TNASSampler:
    return TNASSampler(MetaSurrogate(space, SMALL), seed=seed, **kwargs)


def search(
    sampler: BaseSampler,
    objective: Callable[[Trial], float],
    n_trials: int = 12,
    direction: str = "minimize",
    **kwargs: Any,
) -> Study:
    study = optuna.create_study(sampler=sampler, direction=direction)
    study.optimize(objective, n_trials=n_trials, **kwargs)
    return study


def params(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def n_different(trials: list[FrozenTrial], space: Space) -> int:
    names = space.distributions()
    return len({tuple(t.params.get(name) for name in names) for t in trials})
