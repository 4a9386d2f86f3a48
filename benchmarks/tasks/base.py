"""Protocol and containers of tasks: a space, and the figures of its networks on a data set.

A search sees the noisy ``value``; regret is reported on ``true``, the best figure the table has
(a test or mean value). Everything is maximized; shares between 0 and 1 are turned into percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

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
        """Look up one architecture (``P`` choice positions)."""


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
class Family:
    """Tasks of one space; those not searched on are the past of the one that is.

    Attributes:
        tasks: Those to search on, by name.
        archives: The past of them all, by name.
    """

    space: Space
    tasks: Mapping[str, SearchTask]
    archives: Mapping[str, Archive] = field(default_factory=dict)

    def past(self, target: str) -> dict[str, SearchTask | Archive]:
        """Return all tasks and archives but the target, by name."""
        others = {name: task for name, task in self.tasks.items() if name != target}
        return {**others, **self.archives}


def regret(task: SearchTask, true: float) -> float:
    """Normalize a true value: 0 at the true optimum, 1 at the median network."""
    return (task.true_optimum - true) / (task.true_optimum - task.true_median)
