"""A study's trials as arrays, and the claims by which workers see each other's architectures."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import time
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.errors import SpaceError
from optuna_tnas.errors import StudyError
from optuna_tnas.search.suggester import StudyData
from optuna_tnas.spaces import Space


# Choice positions rather than values: short enough for one attribute of any storage, so that a
# reader never meets half of it.
_CLAIM = "tnas:architecture"
# Where Optuna keeps what ``enqueue_trial`` fixed.
_ENQUEUED = "fixed_params"
# Seconds to wait for a younger trial with the same claim to give way, which takes it one read and
# one write; longer only if its process died in between.
_PATIENCE = 2.0


def read_study(study: Study, space: Space, current: FrozenTrial) -> StudyData:
    """Every architecture of the study but the current trial's.

    Completed trials are observations; running ones are pending; neither they nor failed, pruned
    or waiting ones are to be suggested again. Trials without an architecture of the space do
    not count.

    Raises:
        StudyError: If the study has a parameter of the space's with other choices.
    """
    rows = [(trial, architecture(trial, space)) for trial in _others(study, current)]
    known = [(trial, row) for trial, row in rows if row is not None]
    completed = [(t, row) for t, row in known if t.state == TrialState.COMPLETE]
    sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
    return StudyData(
        X=_stack((row for _, row in completed), space),
        y=sign * np.array([t.value for t, _ in completed], dtype=np.float64),
        pending=_stack((row for t, row in known if t.state == TrialState.RUNNING), space),
        avoided=_stack((row for _, row in known), space),
    )


def _others(study: Study, current: FrozenTrial) -> list[FrozenTrial]:
    """All trials but the current one, from the storage itself.

    Under Hyperband, ``study.get_trials`` shows one bracket. Completed trials of the others had
    the same resource, and their architectures are not to be evaluated again either.
    """
    trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
    return [trial for trial in trials if trial.number != current.number]


def _stack(rows: Iterable[np.ndarray], space: Space) -> np.ndarray:
    return np.array(list(rows), dtype=np.int64).reshape(-1, len(space.parameters))


def architecture(trial: FrozenTrial, space: Space) -> np.ndarray | None:
    """The trial's architecture: its parameters, or what it was given to evaluate."""
    _check_choices(trial, space)
    try:
        return space.encode(_params(trial, space))
    except SpaceError:
        return None


def _params(trial: FrozenTrial, space: Space) -> Mapping[str, Any]:
    """What the trial evaluates or, as far as it has said so, is about to evaluate."""
    claim = trial.system_attrs.get(_CLAIM)
    if claim is None or trial.state.is_finished():
        return given(trial)
    return {**space.decode(np.array(claim), inactive=True), **given(trial)}


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
    """Tell all workers which architecture this trial is about to evaluate."""
    study._storage.set_trial_system_attr(trial._trial_id, _CLAIM, row.tolist())


def keep_claim(study: Study, space: Space, trial: FrozenTrial, row: np.ndarray) -> bool:
    """Whether the claimed architecture is this trial's alone; if not, the claim is withdrawn.

    Every worker writes its claim before it looks for others', so of two equal claims at least
    one worker sees the other's. It gives way to a trial that is older or already evaluates the
    architecture, and waits for a younger one that is still undecided, which will see the older
    claim. So one of those who claim an architecture at the same time keeps it.
    """
    deadline = time.monotonic() + _PATIENCE
    while rivals := _rivals(study, space, trial, row):
        prevails = any(_decided(t, space) or t.number < trial.number for t in rivals)
        if prevails or time.monotonic() > deadline:
            study._storage.set_trial_system_attr(trial._trial_id, _CLAIM, None)
            return False
        time.sleep(0.01)
    return True


def _rivals(study: Study, space: Space, trial: FrozenTrial, row: np.ndarray) -> list[FrozenTrial]:
    """The other trials with the same architecture, whatever their state."""
    wanted = space.decode(row).items()
    return [t for t in _others(study, trial) if wanted <= _params(t, space).items()]


def _decided(trial: FrozenTrial, space: Space) -> bool:
    """Whether the trial's architecture stands: Optuna stores parameters once they are chosen."""
    return trial.state != TrialState.RUNNING or not space.distributions().keys().isdisjoint(
        trial.params
    )
