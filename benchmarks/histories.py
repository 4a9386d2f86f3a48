"""Past studies for a search: the other tasks of its family, as users have them."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import create_trial

from benchmarks.tasks import Family
from benchmarks.tasks import Task
from optuna_tnas.spaces import Space


def past_studies(family: Family, target: str, n: int, seed: int) -> tuple[Study, ...]:
    """Every task but ``target``: one study each, of ``n`` random different architectures.

    They depend on the seed and the past task only, so all methods get the same ones.
    """
    past = {name: task for name, task in family.tasks.items() if name != target}
    return tuple(_study(name, task, family.space, n, seed) for name, task in past.items())


def _study(name: str, task: Task, space: Space, n: int, seed: int) -> Study:
    rng = np.random.default_rng([seed, crc32(name.encode())])
    study = optuna.create_study(study_name=name, direction="maximize")
    study.add_trials(
        create_trial(
            value=task.evaluate(row).value,
            params=(params := space.decode(row)),
            distributions={name: space.distributions()[name] for name in params},
        )
        for row in _different(space, n, rng)
    )
    return study


def _different(space: Space, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n x P``: random architectures without repeats."""
    if n > space.size:
        raise ValueError(f"{n} different architectures from a space of {space.size}")
    X = space.sample(n, rng)
    while len(first := np.unique(X, axis=0, return_index=True)[1]) < n:
        X = np.concatenate([X, space.sample(n, rng)])
    return X[np.sort(first)[:n]]
