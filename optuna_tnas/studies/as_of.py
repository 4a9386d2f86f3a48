"""A study's trials as they were when one of them began."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from datetime import datetime

from optuna.trial import FrozenTrial
from optuna.trial import TrialState


def as_of(trials: Iterable[FrozenTrial], current: FrozenTrial) -> list[FrozenTrial]:
    """Return the other trials in the states that they had when ``current`` began.

    Those that ended later are running; those that began later are left out, or waiting if they
    have a lower number. Of what happened at the very same time, the order is that of the numbers:
    some databases keep whole seconds. A trial that waits itself has everything before it. When
    trials reported something is not known: those that ended later have no reports.

    Args:
        trials: All trials of a study.
        current: One of them.
    """
    others = [trial for trial in trials if trial.number != current.number]
    if current.datetime_start is None:
        return others
    states = [(trial, _state(trial, current, current.datetime_start)) for trial in others]
    return [_in_state(trial, state) for trial, state in states if state is not None]


def _state(trial: FrozenTrial, current: FrozenTrial, moment: datetime) -> TrialState | None:
    """Return the trial's state when ``current`` began; None if it was not there yet."""
    older = trial.number < current.number
    if _before(trial.datetime_complete, moment, older):
        return trial.state
    if _before(trial.datetime_start, moment, older):
        return TrialState.RUNNING
    return TrialState.WAITING if older else None


def _before(time: datetime | None, moment: datetime, older: bool) -> bool:
    return time is not None and (time < moment or (time == moment and older))


def _in_state(trial: FrozenTrial, state: TrialState) -> FrozenTrial:
    if trial.state == state:
        return trial
    before = copy(trial)
    before.state = state
    before.intermediate_values = {}
    return before
