"""What an unfinished training says of the value at its end.

At the step where the training stopped, its report is ranked among all trainings that came as far;
``u`` is the rank as a standard normal quantile. Trainings that were completed tell how the final
outcome ``v`` follows from it::

    v = a + b u + e,    e ~ N(0, s^2)

This regression is not biased by pruners, which choose by ``u`` who goes on. Over all trainings
``u`` has variance 1, so that as a measurement of ``v`` the report is worth::

    z = a + (b + s^2 / b) u = v + noise,    noise ~ N(0, s^2 (1 + s^2 / b^2))

which a Gaussian process on the final outcomes takes as one more observation with a noise of its
own. ``b`` and ``s^2`` have a normal-inverse-gamma prior; past studies tell what correlation it
expects at which share of a training.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import numpy as np

from optuna_tnas.studies.curves import Curve
from optuna_tnas.surrogate.outcomes import normal_scores


# Correlation of a report with the final outcome before trials or past studies tell, and of how
# many trials either is worth.
_CORRELATION, _WORTH = 0.7, 4.0
_LEAST_PAST = 8  # completed trials of a past study with reports
_N_SHARES = 20  # of a training, at which past studies are compared
_LIMIT = 0.99  # of a correlation; Fisher's transform of 1 is infinite
_LEAST_SLOPE = 0.05  # below, a report says nothing


@dataclass(frozen=True)
class Agreement:
    """How well reports on the way agree with final outcomes.

    Attributes:
        shares: ``k`` float64, ascending, of a training; k is 0 if nothing is known.
        correlations: ``k`` float64, of scores of the reports with scores of the outcomes.
    """

    shares: np.ndarray
    correlations: np.ndarray

    @classmethod
    def of(cls, studies: Iterable[tuple[Sequence[Curve | None], np.ndarray]]) -> Agreement:
        """Average over past studies, as Fisher's transform of the correlations.

        Args:
            studies: Each one's ``n`` curves, None where nothing was reported, and ``n`` outcomes.
        """
        found: dict[float, list[float]] = {}
        for curves, outcomes in studies:
            for share, correlation in _correlations(curves, outcomes):
                bounded = min(max(correlation, -_LIMIT), _LIMIT)
                place = max(1, round(share * _N_SHARES)) / _N_SHARES
                found.setdefault(place, []).append(float(np.arctanh(bounded)))
        shares = sorted(found)
        means = [np.tanh(np.mean(found[share])) for share in shares]
        return cls(np.array(shares), np.array(means))

    def at(self, share: float) -> float:
        """The correlation at a share of a training."""
        if len(self.shares) == 0:
            return _CORRELATION
        return float(np.interp(share, self.shares, self.correlations))

    def state(self) -> dict[str, list[float]]:
        """Plain data from which :meth:`from_state` restores it."""
        return {"shares": self.shares.tolist(), "correlations": self.correlations.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Sequence[float]]) -> Agreement:
        """Restore it from :meth:`state`.

        Raises:
            ValueError: If the values are none that it can have.
        """
        shares, correlations = (
            np.array(state[name], dtype=np.float64) for name in ("shares", "correlations")
        )
        if shares.shape != correlations.shape or shares.ndim != 1:
            raise ValueError("shares and correlations of different number")
        if not ((np.diff([0.0, *shares]) > 0).all() and (np.abs(correlations) <= 1).all()):
            raise ValueError("shares that do not ascend, or correlations beyond 1")
        return cls(shares, correlations)


UNKNOWN = Agreement(np.empty(0), np.empty(0))


def _correlations(
    curves: Sequence[Curve | None], outcomes: np.ndarray
) -> Iterator[tuple[float, float]]:
    """Yield shares of one study's trainings, and the correlation of reports with outcomes."""
    told = [(curve, y) for curve, y in zip(curves, outcomes.tolist(), strict=True) if curve]
    if len(told) < _LEAST_PAST:
        return
    end = max(curve.last_step for curve, _ in told)
    steps = np.unique([step for curve, _ in told for step in curve.reports if 0 < step < end])
    chosen = steps[np.linspace(0, len(steps) - 1, min(len(steps), _N_SHARES)).astype(int)]
    for step in chosen.tolist():
        pairs = np.array([(curve.at(step), y) for curve, y in told])
        u, v = (normal_scores(column) for column in pairs[~np.isnan(pairs[:, 0])].T)
        if len(u) >= _LEAST_PAST and u.std() > 0 and v.std() > 0:
            yield step / end, float(np.corrcoef(u, v)[0, 1])


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
    unfinished: Sequence[Curve],
    completed: Sequence[Curve | None],
    outcomes: np.ndarray,
    agreement: Agreement = UNKNOWN,
) -> Estimates:
    """Measure final outcomes by reports.

    Args:
        unfinished: ``m`` curves of unfinished trainings.
        completed: ``n`` curves of completed ones, None where nothing was reported.
        outcomes: ``n`` float64, the completed ones' scaled outcomes.
        agreement: Of reports with outcomes, in past studies.
    """
    known = np.array([curve is not None for curve in completed], dtype=bool)
    finished = [curve for curve in completed if curve is not None]
    last = np.array([curve.last_step for curve in unfinished])
    values, noise = np.zeros(len(last)), np.full(len(last), np.inf)
    end = max((curve.last_step for curve in finished), default=0)
    slopes = []
    for step in np.unique(last).tolist():
        there = last == step
        scores, final = _scores(step, unfinished, finished, outcomes[known])
        expected = agreement.at(step / end) if end > 0 else _CORRELATION
        a, b, variance = _regression(*final, expected)
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


def _regression(u: np.ndarray, v: np.ndarray, expected: float) -> tuple[float, float, float]:
    """Fit ``v = a + b u + e``; return ``a``, ``b`` and the variance of ``e``.

    Args:
        u: ``n`` scores.
        v: ``n`` outcomes.
        expected: Their correlation before these are known.
    """
    if len(u) == 0:
        return 0.0, expected, 1 - expected**2
    du, dv = u - u.mean(), v - v.mean()
    b = float((_WORTH * expected + du @ dv) / (_WORTH + du @ du))
    squares = np.square(dv - b * du).sum() + _WORTH * (b - expected) ** 2
    variance = float(_WORTH * (1 - expected**2) + squares) / (_WORTH + len(u))
    return float(v.mean() - b * u.mean()), b, variance
