"""Reports as measurements of final outcomes, against simulated trainings of known correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from optuna_tnas.studies.curves import Curve
from optuna_tnas.surrogate.unfinished import Agreement
from optuna_tnas.surrogate.unfinished import Estimates
from optuna_tnas.surrogate.unfinished import estimates
from optuna_tnas.surrogate.unfinished import UNKNOWN


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


# --- what past studies tell -----------------------------------------------------------------


def past_study(
    n: int, correlations: dict[int, float], seed: int = 0
) -> tuple[list[Curve | None], np.ndarray]:
    """Curves whose report at a step has that correlation with the outcome; the last one is it."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(n)
    rows = {
        step: r * v + np.sqrt(1 - r**2) * rng.standard_normal(n)
        for step, r in correlations.items()
    }
    end = 2 * max(correlations)
    return [Curve({**{s: x[i] for s, x in rows.items()}, end: v[i]}) for i in range(n)], v


def test_correlations_of_past_studies_are_found_by_the_share_of_a_training() -> None:
    studies = [past_study(400, {10: 0.3, 20: 0.8}, seed) for seed in range(3)]
    found = Agreement.of(studies)
    assert found.shares.tolist() == [0.25, 0.5]
    assert found.correlations == pytest.approx([0.3, 0.8], abs=0.06)
    assert found.at(0.01) == found.at(0.25) < found.at(0.4) < found.at(0.5) == found.at(1.0)


def test_lengths_and_units_of_past_studies_do_not_matter() -> None:
    curves, v = past_study(50, {10: 0.6})
    known = [c.reports for c in curves if c is not None]
    other = [Curve({7 * s: np.exp(y) for s, y in c.items()}) for c in known]
    one, two = (Agreement.of([(c, v)]) for c in (curves, other))
    assert one.state() == two.state()


def test_few_or_constant_reports_tell_nothing() -> None:
    curves, v = past_study(7, {10: 0.6})
    constant = [Curve({1: 1.0, 2: float(i)}) for i in range(20)]
    found = Agreement.of([(curves, v), (constant, np.arange(20.0)), ([None] * 9, np.arange(9.0))])
    assert len(found.shares) == 0 and found.state() == UNKNOWN.state()


def test_reports_that_are_the_outcome_are_no_certainty() -> None:
    same = [Curve({1: float(i), 2: float(i)}) for i in range(20)]
    found = Agreement.of([(same, np.arange(20.0))])
    assert found.correlations.max() < 1


def test_the_past_tells_how_much_a_first_report_counts() -> None:
    unfinished, done = curves(np.array([0.3, 0.1, 0.2]), step=1), [Curve({1: 0.0, 4: 0.0})]
    noise = [
        estimates(unfinished, done, np.zeros(1), Agreement(np.array([0.25]), np.array([r]))).noise
        for r in (0.3, 0.9)
    ]
    assert noise[0].min() > 3 * noise[1].max()


def test_an_agreement_is_restored_from_its_state() -> None:
    found = Agreement.of([past_study(50, {10: 0.6, 30: 0.9})])
    assert Agreement.from_state(found.state()).state() == found.state()


@pytest.mark.parametrize(
    "state",
    [
        {"shares": [0.5], "correlations": []},
        {"shares": [0.5, 0.2], "correlations": [0.1, 0.2]},
        {"shares": [0.5], "correlations": [1.5]},
        {"shares": [float("nan")], "correlations": [float("nan")]},
    ],
)
def test_impossible_states_are_refused(state: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="shares"):
        Agreement.from_state(state)
