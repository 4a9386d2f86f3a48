"""A study's trials as arrays, and the claims by which workers see each other's architectures."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.errors import SpaceError
from optuna_tnas.errors import StudyError
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate.suggestion import StudyData


# Choice positions rather than values: short enough for one attribute of any storage, so that a
# reader never meets half of it.
_CLAIM = "tnas:architecture"
# Where Optuna keeps what ``enqueue_trial`` fixed.
_ENQUEUED = "fixed_params"


def read_study(study: Study, space: Space, current: FrozenTrial) -> StudyData:
    """Every architecture of the study but the current trial's.

    Completed trials are observations; running ones are pending; neither they nor failed, pruned
    or waiting ones are to be suggested again. Trials without an architecture of the space do
    not count.

    Raises:
        StudyError: If the study has a parameter of the space's with other choices.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if t.number != current.number]
    rows = [(trial, architecture(trial, space)) for trial in trials]
    known = [(trial, row) for trial, row in rows if row is not None]
    completed = [(t, row) for t, row in known if t.state == TrialState.COMPLETE]
    sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
    return StudyData(
        X=_stack((row for _, row in completed), space),
        y=sign * np.array([t.value for t, _ in completed], dtype=np.float64),
        pending=_stack((row for t, row in known if t.state == TrialState.RUNNING), space),
        avoided=_stack((row for _, row in known), space),
    )


def _stack(rows: Iterable[np.ndarray], space: Space) -> np.ndarray:
    return np.array(list(rows), dtype=np.int64).reshape(-1, len(space.parameters))


def architecture(trial: FrozenTrial, space: Space) -> np.ndarray | None:
    """The trial's architecture: its parameters, or what it was given to evaluate."""
    _check_choices(trial, space)
    params = {**trial.system_attrs.get(_ENQUEUED, {}), **trial.params}
    claim = trial.system_attrs.get(_CLAIM)
    if claim is not None and not trial.state.is_finished():
        params = {**space.decode(np.array(claim), inactive=True), **params}
    try:
        return space.encode(params)
    except SpaceError:
        return None


def _check_choices(trial: FrozenTrial, space: Space) -> None:
    for name, expected in space.distributions().items():
        found = trial.distributions.get(name, expected)
        if found != expected:
            raise StudyError(
                f"In trial {trial.number} the parameter {name!r} is {found}, in the sampler's "
                f"space it is {expected}. Use the space that the study was made with, another "
                "study, or other parameter names (names=[...])."
            )


def given(trial: FrozenTrial) -> Mapping[str, Any]:
    """What the trial's parameters already are: enqueued values and suggested ones."""
    return {**trial.system_attrs.get(_ENQUEUED, {}), **trial.params}


def claim(study: Study, trial: FrozenTrial, row: np.ndarray) -> None:
    """Tell all workers which architecture this trial evaluates."""
    study._storage.set_trial_system_attr(trial._trial_id, _CLAIM, row.tolist())


def claimed_elsewhere(study: Study, space: Space, trial: FrozenTrial, row: np.ndarray) -> bool:
    """Whether another running trial has the same architecture.

    Of two workers that claim one architecture at the same time, at least one learns it here,
    because both write before they read.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    others = [architecture(t, space) for t in running if t.number != trial.number]
    return any(other is not None and np.array_equal(other, row) for other in others)
