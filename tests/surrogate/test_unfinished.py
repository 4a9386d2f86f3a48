"""Reports as measurements of final outcomes, against simulated trainings of known correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from optuna_tnas.studies.curves import Curve
from optuna_tnas.surrogate.unfinished import Estimates
from optuna_tnas.surrogate.unfinished import estimates


def simulated(n: int, correlation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Reports and final outcomes, both standard normal: ``n`` each."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(n)
    return correlation * v + np.sqrt(1 - correlation**2) * rng.standard_normal(n), v


def curves(reports: np.ndarray, step: int = 3) -> list[Curve]:
    return [Curve({step: report}) for report in reports.tolist()]


def told(reports: np.ndarray, v: np.ndarray, completed: np.ndarray) -> Estimates:
    """Estimate the others from some completed trainings; outcomes are scaled as they are."""
    return estimates(curves(reports[~completed]), curves(reports[completed]), v[completed])


@pytest.mark.parametrize("correlation", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("selected", [False, True])
def test_the_values_are_unbiased_measurements_with_the_noise_they_tell(
    correlation: float, selected: bool
) -> None:
    reports, v = simulated(4000, correlation)
    completed = reports > 0.5 if selected else np.arange(len(v)) % 2 == 0
    found = told(reports, v, completed)
    error = found.values - v[~completed]
    if not selected:  # where pruners chose, errors are of a truncated population
        slope = np.polyfit(v[~completed], error, 1)[0]
        assert abs(slope) < 0.1
        assert np.mean(error**2) == pytest.approx(found.noise.mean(), rel=0.1)
    # In theory z = v / correlation's share: variance (1 - r^2) / r^2.
    assert found.noise == pytest.approx((1 - correlation**2) / correlation**2, rel=0.3)


def test_a_better_report_is_a_better_value_with_the_same_noise_at_one_step() -> None:
    reports, v = simulated(40, 0.8)
    found = told(reports, v, np.arange(40) < 20)
    assert np.array_equal(np.argsort(found.values), np.argsort(reports[20:]))
    assert len(np.unique(found.noise)) == 1


@pytest.mark.parametrize("change", [np.exp, lambda r: 1e9 * r - 5, np.arctan])
def test_units_and_monotone_changes_of_what_is_reported_do_not_matter(change: object) -> None:
    assert callable(change)
    reports, v = simulated(30, 0.8)
    completed = np.arange(30) % 3 == 0
    one, other = told(reports, v, completed), told(change(reports), v, completed)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.noise, other.noise)


def test_later_steps_that_agree_better_have_less_noise() -> None:
    early, v = simulated(60, 0.5)
    late = 0.9 * v + 0.1 * early
    done = [Curve({1: a, 2: b}) for a, b in zip(early[:40], late[:40], strict=True)]
    unfinished = [*curves(early[40:50], step=1), *curves(late[50:], step=2)]
    found = estimates(unfinished, done, v[:40])
    assert found.noise[:10].max() < np.inf
    assert found.noise[10:].max() < found.noise[:10].min()


def test_before_trials_are_completed_reports_rank_architectures() -> None:
    found = estimates(curves(np.array([0.3, 0.1, 0.2])), [], np.empty(0))
    assert np.array_equal(np.argsort(found.values), [1, 2, 0])
    assert (found.noise > 0).all()


def test_completed_trials_without_reports_tell_nothing_of_them() -> None:
    reports = curves(np.array([0.3, 0.1]))
    found = estimates(reports, [None, None], np.array([1.0, -1.0]))
    np.testing.assert_array_equal(found.values, estimates(reports, [], np.empty(0)).values)


def test_reports_that_agree_with_nothing_are_as_good_as_none() -> None:
    noise: list[float] = []
    for seed in range(5):
        reports, v = simulated(400, 0.0, seed)
        noise.extend(told(reports, v, np.arange(400) < 200).noise)
    assert min(noise, default=np.inf) > 30


def test_reports_against_the_objective_are_turned_around_and_said() -> None:
    reports, v = simulated(60, 0.9)
    completed = np.arange(60) < 30
    found = told(-reports, v, completed)
    assert found.reversed and not told(reports, v, completed).reversed
    assert np.corrcoef(found.values, v[~completed])[0, 1] > 0.8


def test_infinite_reports_are_the_worst_or_the_best() -> None:
    reports, v = simulated(30, 0.8)
    reports[[20, 21]] = -np.inf, np.inf
    found = told(reports, v, np.arange(30) < 20)
    assert np.isfinite(found.values).all()
    assert found.values[0] == found.values.min() and found.values[1] == found.values.max()


def test_some_can_be_taken() -> None:
    reports, v = simulated(12, 0.8)
    found = told(reports, v, np.arange(12) < 6)
    chosen: Sequence[int] = [4, 1]
    some = found.at(np.array(chosen))
    assert np.array_equal(some.positions, chosen)
    assert np.array_equal(some.values, found.values[chosen])
