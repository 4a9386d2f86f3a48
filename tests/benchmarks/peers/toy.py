"""A made-up family of three tasks that peers can search in no time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import FrozenTrial

from benchmarks.peers import Setting
from optuna_tnas.spaces import Space


def study_of(space: Space, X: np.ndarray, values: Sequence[float] | np.ndarray) -> Study:
    study = optuna.create_study(direction="maximize")
    for row, value in zip(X, values, strict=True):
        params = space.decode(row)
        distributions = {name: space.distributions()[name] for name in params}
        trial = create_trial(value=float(value), params=params, distributions=distributions)
        study.add_trial(trial)
    return study


@dataclass(frozen=True)
class Toy:
    """A table for each task; ``space`` has 64 cells of three edges.

    Attributes:
        space: The search space.
        target: ``4 x 4 x 4``, the values of the task that is searched on.
        past: Those of two past tasks, the first of which is like it.
        cache: The peers' folder.
    """

    space: Space
    target: np.ndarray
    past: tuple[np.ndarray, np.ndarray]
    cache: Path

    @property
    def rows(self) -> np.ndarray:
        return self.space.enumerate()

    def setting(self, seed: int = 0) -> Setting:
        """20 random trials of each past task."""
        history = []
        for number, table in enumerate(self.past):
            X = np.random.default_rng(number).permutation(self.rows)[:20]
            history.append(study_of(self.space, X, table[tuple(X.T)]))
        return Setting(self.space, tuple(history), seed, self.cache)

    def search(self, sampler: BaseSampler, n: int, until: float = math.inf) -> np.ndarray:
        """``n x 3``: what the sampler tries; fewer once it found a value of ``until``."""

        def stop(study: Study, trial: FrozenTrial) -> None:
            if study.best_value >= until:
                study.stop()

        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(lambda t: self.value(self.space.suggest(t)), n, callbacks=[stop])
        return np.array([self.space.encode(trial.params) for trial in study.trials])

    def value(self, params: dict[str, str]) -> float:
        """A cell's, by its parameters."""
        return float(self.target[tuple(self.space.encode(params))])
