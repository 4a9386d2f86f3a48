"""Trials in the states that they had when one of them began."""

from __future__ import annotations

from datetime import datetime
from datetime import timedelta

import optuna
from optuna.trial import create_trial
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
import pytest

from optuna_tnas.studies.as_of import as_of


NOON = datetime(2026, 1, 1, 12)
COMPLETE, RUNNING, WAITING = TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING


def trial(number: int, start: float | None, end: float | None = None) -> FrozenTrial:
    """A trial from ``start`` to ``end``, in seconds; running without an end."""
    made = create_trial(state=COMPLETE, value=float(number))
    made.number = number
    made.datetime_start = None if start is None else NOON + timedelta(seconds=start)
    made.datetime_complete = None if end is None else NOON + timedelta(seconds=end)
    if end is None:
        made.state = WAITING if start is None else RUNNING
    return made


def states(trials: list[FrozenTrial], current: FrozenTrial) -> dict[int, TrialState]:
    return {t.number: t.state for t in as_of(trials, current)}


def test_what_ended_later_was_running_and_what_began_later_was_not_there() -> None:
    trials = [trial(0, 0, 5), trial(1, 1, 20), trial(2, 2), trial(3, 6, 9), trial(4, 7, 8)]
    assert states(trials, trials[3]) == {0: COMPLETE, 1: RUNNING, 2: RUNNING}
    assert states(trials, trials[0]) == {}
    assert [t.state for t in trials] == [COMPLETE, COMPLETE, RUNNING, COMPLETE, COMPLETE]


def test_what_was_in_the_queue_was_waiting() -> None:
    trials = [trial(0, 0, 1), trial(1, 30, 40), trial(2, None), trial(3, 2, 4), trial(4, None)]
    assert states(trials, trials[3]) == {0: COMPLETE, 1: WAITING, 2: WAITING}
    assert states(trials, trials[4]) == {0: COMPLETE, 1: COMPLETE, 2: WAITING, 3: COMPLETE}


def test_an_enqueued_trial_saw_those_that_ended_before_it_began() -> None:
    trials = [trial(0, 10, 12), trial(1, 0, 3), trial(2, 4, 11)]
    assert states(trials, trials[0]) == {1: COMPLETE, 2: RUNNING}


def test_at_the_same_second_numbers_decide() -> None:
    trials = [trial(n, 0, 0) for n in range(4)]
    assert states(trials, trials[2]) == {0: COMPLETE, 1: COMPLETE}


@pytest.mark.parametrize("location", ["sqlite://", None])
def test_trials_of_a_sequential_study_saw_exactly_those_before(location: str | None) -> None:
    study = optuna.create_study(storage=location)
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=6)
    for number, current in enumerate(study.trials):
        assert states(study.trials, current) == dict.fromkeys(range(number), COMPLETE)
