"""Protocols and containers of tasks: a space, and the figures of its networks on a data set.

A search sees the noisy ``value``; regret is reported on ``true``, the best figure the table has
(a test or mean value). Everything is maximized; shares between 0 and 1 are turned into percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.distributions import IntDistribution
from optuna.trial import BaseTrial

from optuna_tnas.spaces import Space


class TableError(Exception):
    """A table is missing or incomplete; the text says what to do."""


@dataclass(frozen=True)
class Measurement:
    """Figures of one architecture in a table.

    Attributes:
        network: Number of the network; architectures that are the same network share it.
        value: Figure that the search sees, possibly noisy.
        true: Figure that regret is reported on.
    """

    network: int
    value: float
    true: float


class SearchTask(Protocol):
    """One data set to search on."""

    optimum: float
    true_optimum: float
    true_median: float

    def evaluate(self, row: np.ndarray) -> Measurement:
        """Look up one architecture (``P`` positions; after the choices those of the grids)."""


class SearchSpace(Protocol):
    """What an objective asks a trial for: a :class:`Family`, or a space by itself."""

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask the trial for all parameters."""

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert parameters to the row that a task evaluates."""


class TableTask:
    """A task of which every network was measured.

    Args:
        network_of: The network's number for each architecture, an array with one axis per
            parameter.
        value: What a search sees, by network.
        true: The best available figure, by network.
    """

    def __init__(self, network_of: np.ndarray, value: ArrayLike, true: ArrayLike) -> None:
        self._network_of = network_of
        self.value = np.asarray(value, dtype=np.float64)
        self.true = np.asarray(true, dtype=np.float64)
        self.optimum = float(self.value.max())
        self.true_optimum = float(self.true.max())
        self.true_median = float(np.median(self.true))

    def evaluate(self, row: np.ndarray) -> Measurement:
        network = int(self._network_of[tuple(row)])
        return Measurement(network, float(self.value[network]), float(self.true[network]))


class RepeatedTask(TableTask):
    """A task of which every network was trained twice.

    Args:
        network_of: As for :class:`TableTask`.
        value: What a search sees, by network.
        true: The best available figure, by network.
        second: The value of another training, by network.
    """

    def __init__(
        self, network_of: np.ndarray, value: ArrayLike, true: ArrayLike, second: ArrayLike
    ) -> None:
        super().__init__(network_of, value, true)
        self.second = np.asarray(second, dtype=np.float64)

    def swapped(self, rng: np.random.Generator) -> RepeatedTask:
        """Let the two values of half of the networks change places: another draw of the noise."""
        stay = rng.random(len(self.value)) < 0.5
        first, second = (
            np.where(stay, a, b) for a, b in ((self.value, self.second), (self.second, self.value))
        )
        return RepeatedTask(self._network_of, first, self.true, second)


@dataclass(frozen=True)
class Archive:
    """Architectures that others' searches evaluated: too few to search on, but a past.

    Attributes:
        X: ``n x P`` different architectures.
        values: ``n``, higher is better.
    """

    X: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Hyperparameter:
    """A hyper-parameter that is searched together with the architecture.

    Attributes:
        distribution: What a user would write, and all that a sampler sees.
        grid: The values that were measured; of a category, the distribution's choices.
    """

    distribution: BaseDistribution
    grid: tuple[Any, ...]

    def suggest(self, name: str, trial: BaseTrial) -> Any:
        """Ask the trial for a value."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return trial.suggest_categorical(name, d.choices)
        if isinstance(d, IntDistribution):
            return trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
        return trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)

    def position(self, value: Any) -> int:
        """Find the nearest value of the grid, on the distribution's scale."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.grid.index(value)
        scale = np.log if self.distribution.log else np.asarray
        return int(np.abs(scale(self.grid) - scale(value)).argmin())


@dataclass(frozen=True)
class Family:
    """Tasks of one space; those not searched on are the past of the one that is.

    Attributes:
        space: The space of the architectures.
        tasks: Those to search on, by name.
        archives: The past of them all, by name.
        hyperparameters: Those searched together with the architecture, by name.
    """

    space: Space
    tasks: Mapping[str, SearchTask]
    archives: Mapping[str, Archive] = field(default_factory=dict)
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return all parameters' distributions by name, the architecture's first."""
        others = {name: h.distribution for name, h in self.hyperparameters.items()}
        return {**self.space.distributions(), **others}

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask the trial for an architecture, then for each hyper-parameter."""
        params = self.space.suggest(trial)
        return params | {name: h.suggest(name, trial) for name, h in self.hyperparameters.items()}

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert parameters to positions: of the choices, then of the nearest grid values."""
        grids = [h.position(params[name]) for name, h in self.hyperparameters.items()]
        return np.concatenate([self.space.encode(params), np.array(grids, dtype=np.int64)])

    def past(self, target: str) -> dict[str, SearchTask | Archive]:
        """Return all tasks and archives but the target, by name."""
        others = {name: task for name, task in self.tasks.items() if name != target}
        return {**others, **self.archives}


def regret(task: SearchTask, true: float) -> float:
    """Normalize a true value: 0 at the true optimum, 1 at the median network."""
    return (task.true_optimum - true) / (task.true_optimum - task.true_median)
