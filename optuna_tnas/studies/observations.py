"""A study as arrays: architectures, values, constraints."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field

import numpy as np

from optuna_tnas.studies.curves import Curves
from optuna_tnas.studies.fronts import fronts


@dataclass(frozen=True)
class Metric:
    """One of several objectives.

    Attributes:
        name: As ``study.set_metric_names`` has it; None without names.
        sign: The factor that makes higher values better: 1 or -1.
    """

    name: str | None
    sign: float


@dataclass(frozen=True)
class Observations:
    """A study's architectures and values.

    Attributes:
        X: ``n x P`` int64, architectures with a value.
        y: ``n`` float64, their values, higher is better; infinite ones may be among them. With M
            objectives ``n x M``.
        pending: ``p x P`` int64, architectures being evaluated.
        avoided: ``m x P`` int64, architectures that are not to be suggested again.
        constraints: By name, ``n`` float64 values of a constraint, which is met at 0 or less; NaN
            where a trial lacks it.
        metrics: The objectives if there are several; empty if there is one.
        objective: The only objective's name, if it has one.
        curves: What trials reported while they trained; None if no unfinished one did.
        choosing: Numbers of the running trials of which nothing is known yet.
        failed: ``f x P`` int64, architectures whose trials failed, if these are to be learned
            from; else None.
    """

    X: np.ndarray
    y: np.ndarray
    pending: np.ndarray
    avoided: np.ndarray
    constraints: Mapping[str, np.ndarray] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    objective: str | None = None
    curves: Curves | None = None
    choosing: Sequence[int] = ()
    failed: np.ndarray | None = None

    @property
    def n_failed(self) -> int:
        """Number of failed trials to learn from."""
        return 0 if self.failed is None else len(self.failed)

    @property
    def n_begun(self) -> int:
        """Number of trials that tell something, or will."""
        return len(self.X) + len(self.pending) + self.n_failed

    @property
    def names(self) -> list[str | None]:
        """The objectives' names, None for those without one."""
        return [metric.name for metric in self.metrics] or [self.objective]

    @property
    def feasible(self) -> np.ndarray:
        """Which architectures violate no constraint that they have: ``n`` bool."""
        return np.asarray(self._violation == 0)

    @property
    def merit(self) -> np.ndarray:
        """How good the architectures are: ``n`` float64.

        The values, if all are feasible. Else ranks: feasible ones by value come after the others
        by how much they violate. With several objectives feasible ones rank by the front that
        they are on, then by how far they are from their neighbors there.
        """
        if self.feasible.all() and not self.metrics:
            return self.y
        values = [*fronts(self.y)] if self.metrics else [self.y]
        merit = np.empty(len(self.y))
        merit[np.lexsort((*reversed(values), -self._violation))] = np.arange(len(self.y))
        return merit

    @property
    def _violation(self) -> np.ndarray:
        """Sum of the constraints' positive values: ``n`` float64."""
        violated = [np.nan_to_num(v.clip(0), posinf=np.inf) for v in self.constraints.values()]
        return np.sum([np.zeros(len(self.y)), *violated], axis=0)
