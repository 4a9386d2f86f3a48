"""Learning curves: what of a trial's reports counts."""

from __future__ import annotations

from math import inf
from math import isnan
from math import nan

import numpy as np
import optuna
from optuna.trial import create_trial
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
import pytest

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from optuna_tnas.studies import trials
from optuna_tnas.studies.curves import Curve
from optuna_tnas.studies.observations import Observations


SPACE = CellSpace([Node("a", ["x", "y", "z"]), Node("b", ["x", "y"], ["a"])])
ROWS = SPACE.enumerate()


def trial_of(
    state: TrialState, reports: dict[int, float], row: np.ndarray = ROWS[0]
) -> FrozenTrial:
    return create_trial(
        state=state,
        value=1.0 if state == TrialState.COMPLETE else None,
        params=SPACE.decode(row),
        distributions=dict(SPACE.distributions()),
        intermediate_values=reports,
    )


def test_reports_are_in_the_order_of_their_steps_and_signed() -> None:
    curve = Curve.of(trial_of(TrialState.PRUNED, {7: 1.0, 3: 2.0}), sign=-1.0)
    assert curve is not None
    assert [*curve.reports.items()] == [(3, -2.0), (7, -1.0)]
    assert curve.last_step == 7


def test_a_trial_without_reports_has_no_curve() -> None:
    assert Curve.of(trial_of(TrialState.PRUNED, {}), sign=1.0) is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_not_a_number_is_the_worst_value_in_both_directions(sign: float) -> None:
    curve = Curve.of(trial_of(TrialState.PRUNED, {1: nan}), sign)
    assert curve is not None and curve.at(1) == -inf


def test_between_two_reports_the_value_is_linear_and_outside_unknown() -> None:
    curve = Curve({2: 1.0, 6: 3.0})
    assert [curve.at(step) for step in (2, 3, 4, 6)] == [1.0, 1.5, 2.0, 3.0]
    assert isnan(curve.at(1)) and isnan(curve.at(7))


def test_between_infinite_reports_the_value_is_no_nan() -> None:
    assert Curve({2: -inf, 6: inf}).at(4) == -inf


def read(*given: FrozenTrial, direction: str = "maximize") -> Observations:
    study = optuna.create_study(direction=direction)
    study.add_trials(given)
    return trials.read_study(study, SPACE, None)


def test_without_unfinished_reports_nothing_is_read() -> None:
    completed = trial_of(TrialState.COMPLETE, {1: 0.5})
    assert read(completed, trial_of(TrialState.PRUNED, {})).curves is None
    assert read(completed, trial_of(TrialState.FAIL, {1: 0.5})).curves is None


def test_curves_of_unfinished_and_completed_trials_are_apart() -> None:
    curves = read(
        trial_of(TrialState.PRUNED, {1: 0.5, 2: 0.7}, ROWS[1]),
        trial_of(TrialState.COMPLETE, {1: 0.6}, ROWS[2]),
        trial_of(TrialState.COMPLETE, {}, ROWS[3]),
        trial_of(TrialState.RUNNING, {1: 0.9}, ROWS[4]),
        direction="minimize",
    ).curves
    assert curves is not None
    assert np.array_equal(curves.X, ROWS[[1, 4]])
    assert [dict(c.reports) for c in curves.unfinished] == [{1: -0.5, 2: -0.7}, {1: -0.9}]
    assert curves.completed == [Curve({1: -0.6}), None]


def test_trials_without_an_architecture_of_the_space_have_no_curve() -> None:
    foreign = create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.5})
    assert read(foreign).curves is None


def test_the_key_changes_with_every_report() -> None:
    one, other = (read(trial_of(TrialState.PRUNED, {1: 0.5, 2: v})).curves for v in (0.5, 0.6))
    assert one is not None and other is not None
    assert one.key != other.key and hash(one.key) != hash(other.key)
