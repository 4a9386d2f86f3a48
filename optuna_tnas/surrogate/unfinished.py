"""What an unfinished training says of the value at its end.

At the step where the training stopped, its report is ranked among all trainings that came as far;
``u`` is the rank as a standard normal quantile. Trainings that were completed tell how the final
outcome ``v`` follows from it::

    v = a + b u + e,    e ~ N(0, s^2)

This regression is not biased by pruners, which choose by ``u`` who goes on. Over all trainings
``u`` has variance 1, so that as a measurement of ``v`` the report is worth::

    z = a + (b + s^2 / b) u = v + noise,    noise ~ N(0, s^2 (1 + s^2 / b^2))

which a Gaussian process on the final outcomes takes as one more observation with a noise of its
own. ``b`` and ``s^2`` have a normal-inverse-gamma prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import numpy as np

from optuna_tnas.studies.curves import Curve
from optuna_tnas.surrogate.outcomes import normal_scores


# Correlation of a report with the final outcome before trials tell, and of how many trials that
# is worth.
_CORRELATION, _WORTH = 0.7, 4.0
_LEAST_SLOPE = 0.05  # below, a report says nothing


@dataclass(frozen=True)
class Estimates:
    """Measurements of final outcomes by reports of ``m`` unfinished trainings.

    Attributes:
        positions: ``m``, which of the trainings they are of.
        values: ``m`` float64, as the outcomes are scaled.
        noise: ``m`` float64, variances.
        reversed: Whether reports are high where outcomes are low.
    """

    positions: np.ndarray
    values: np.ndarray
    noise: np.ndarray
    reversed: bool = False

    def at(self, chosen: np.ndarray) -> Estimates:
        """Take some of them."""
        return replace(
            self,
            positions=self.positions[chosen],
            values=self.values[chosen],
            noise=self.noise[chosen],
        )


def estimates(
    unfinished: Sequence[Curve], completed: Sequence[Curve | None], outcomes: np.ndarray
) -> Estimates:
    """Measure final outcomes by reports.

    Args:
        unfinished: ``m`` curves of unfinished trainings.
        completed: ``n`` curves of completed ones, None where nothing was reported.
        outcomes: ``n`` float64, the completed ones' scaled outcomes.
    """
    known = np.array([curve is not None for curve in completed], dtype=bool)
    finished = [curve for curve in completed if curve is not None]
    last = np.array([curve.last_step for curve in unfinished])
    values, noise = np.zeros(len(last)), np.full(len(last), np.inf)
    slopes = []
    for step in np.unique(last).tolist():
        there = last == step
        scores, final = _scores(step, unfinished, finished, outcomes[known])
        a, b, variance = _regression(final[0], final[1])
        slopes.append(b)
        if abs(b) > _LEAST_SLOPE:
            values[there] = a + (b + variance / b) * scores[there]
            noise[there] = variance * (1 + variance / b**2)
    told = np.flatnonzero(np.isfinite(noise))
    is_reversed = any(b < -_LEAST_SLOPE for b in slopes)
    return Estimates(told, values[told], noise[told], is_reversed)


def _scores(
    step: int,
    unfinished: Sequence[Curve],
    finished: Sequence[Curve],
    outcomes: np.ndarray,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Score the reports at a step.

    Returns:
        ``m`` scores of unfinished trainings, NaN where they did not come as far; and the scores
        and outcomes of the completed ones that reported it.
    """
    reports = np.array([curve.at(step) for curve in (*unfinished, *finished)])
    scores = np.full(len(reports), np.nan)
    reached = ~np.isnan(reports)
    scores[reached] = normal_scores(reports[reached])
    of_finished = scores[len(unfinished) :]
    pairs = ~np.isnan(of_finished)
    return scores[: len(unfinished)], (of_finished[pairs], outcomes[pairs])


def _regression(u: np.ndarray, v: np.ndarray) -> tuple[float, float, float]:
    """Fit ``v = a + b u + e``; return ``a``, ``b`` and the variance of ``e``."""
    if len(u) == 0:
        return 0.0, _CORRELATION, 1 - _CORRELATION**2
    du, dv = u - u.mean(), v - v.mean()
    b = float((_WORTH * _CORRELATION + du @ dv) / (_WORTH + du @ du))
    squares = np.square(dv - b * du).sum() + _WORTH * (b - _CORRELATION) ** 2
    variance = float(_WORTH * (1 - _CORRELATION**2) + squares) / (_WORTH + len(u))
    return float(v.mean() - b * u.mean()), b, variance
