"""Learning curves: what trials report while they train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from math import nan

import numpy as np
from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Curve:
    """What one training reported.

    Attributes:
        reports: Values by step, in the order of the steps, at least one; higher is better, minus
            infinity stands for NaN.
    """

    reports: dict[int, float]

    @classmethod
    def of(cls, trial: FrozenTrial, sign: float) -> Curve | None:
        """Read a trial's reports; None if there are none.

        Args:
            trial: The trial.
            sign: The factor that makes higher values better: 1 or -1.
        """
        reports = sorted(trial.intermediate_values.items())
        values = {step: -inf if value != value else sign * value for step, value in reports}
        return cls(values) if values else None

    @property
    def last_step(self) -> int:
        """The last step that was reported."""
        return next(reversed(self.reports))

    def at(self, step: int) -> float:
        """The value at a step, between two reports linearly; NaN before the first and beyond."""
        if step in self.reports:
            return self.reports[step]
        steps = [*self.reports]
        if not steps[0] < step < steps[-1]:
            return nan
        value = float(np.interp(step, steps, [*self.reports.values()]))
        return -inf if value != value else value  # between infinite ones


@dataclass(frozen=True)
class Curves:
    """The learning curves of a study.

    Attributes:
        X: ``m x P`` int64, architectures of pruned and running trials that reported something.
        unfinished: Their ``m`` curves.
        completed: The curves of the ``n`` completed trials, None where nothing was reported.
    """

    X: np.ndarray
    unfinished: Sequence[Curve]
    completed: Sequence[Curve | None]

    @property
    def key(self) -> tuple[object, ...]:
        """What differs where anything of the unfinished trials does."""
        return (self.X.tobytes(), *(tuple(c.reports.items()) for c in self.unfinished))
