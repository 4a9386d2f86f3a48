"""A study's trials as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import compress
from operator import and_
from operator import gt
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies.curves import Curves
from optuna_tnas.studies.observations import Observations
from optuna_tnas.studies.settled import SettledTrials
from optuna_tnas.studies.values import all_values
from optuna_tnas.studies.values import metrics_of
from optuna_tnas.studies.values import values


_UNFINISHED = (TrialState.PRUNED, TrialState.RUNNING)


def read_study(
    study: Study,
    space: SearchSpace,
    current: FrozenTrial | None,
    settled: SettledTrials | None = None,
    n_retries: int = 0,
    learns_from_failures: bool = False,
) -> Observations:
    """Read every architecture of the study but the current trial's.

    Completed trials are observations; running ones are pending; neither they nor failed, pruned
    or waiting ones are to be suggested again. Trials without an architecture of the space do
    not count.

    Args:
        study: The study.
        space: The search space.
        current: The trial that an architecture is wanted for, if there is one.
        settled: What was read of trials before.
        n_retries: How often an architecture whose trials fail may come again.
        learns_from_failures: Whether the architectures of failed trials are told.

    Raises:
        StudyError: If the study has a parameter of the space's with other choices.
    """
    others = others_of(study, current)
    return observe(study, others, space, settled, n_retries, learns_from_failures)


def observe(
    study: Study,
    others: Sequence[FrozenTrial],
    space: SearchSpace,
    settled: SettledTrials | None = None,
    n_retries: int = 0,
    learns_from_failures: bool = False,
) -> Observations:
    """Convert some of a study's trials; see :func:`read_study`."""
    settled = settled or SettledTrials()
    rows = settled.architectures(study, others, space)
    # No pairs: tens of thousands of tuples would have the garbage collector go through it all.
    known = [row is not None for row in rows]
    completed = [t.state == TrialState.COMPLETE for t in others]
    running = [t.state == TrialState.RUNNING for t in others]
    failed = [t.state == TrialState.FAIL for t in others] if learns_from_failures else []
    observed = [*map(and_, known, completed)]
    observations = [*compress(others, observed)]
    closed = [not again for again in may_come_again(others, rows, n_retries)]
    one = len(study.directions) == 1
    metrics = metrics_of(study)
    return Observations(
        X=_stack(compress(rows, observed), space),
        y=values(study, observations) if one else all_values(observations, metrics),
        pending=_stack(compress(rows, map(and_, known, running)), space),
        avoided=_stack(compress(rows, map(and_, known, closed)), space),
        constraints=settled.constraints(study, observations),
        metrics=() if one else metrics,
        objective=metrics[0].name if one else None,
        curves=_curves(study, others, rows, observations, space, settled) if one else None,
        choosing=[t.number for t in compress(others, map(gt, running, known)) if not t.params],
        failed=_stack(compress(rows, map(and_, known, failed)), space) if failed else None,
    )


def _curves(
    study: Study,
    trials: Sequence[FrozenTrial],
    rows: Sequence[np.ndarray | None],
    completed: Sequence[FrozenTrial],
    space: SearchSpace,
    settled: SettledTrials,
) -> Curves | None:
    """Read the learning curves of a study; None if no unfinished trial reported anything."""
    told = [
        row is not None and trial.state in _UNFINISHED and len(trial.intermediate_values) > 0
        for trial, row in zip(trials, rows, strict=True)
    ]
    if not any(told):
        return None
    unfinished = settled.curves(study, [*compress(trials, told)])
    return Curves(
        X=_stack(compress(rows, told), space),
        unfinished=[curve for curve in unfinished if curve is not None],
        completed=settled.curves(study, completed),
    )


def may_come_again(
    trials: Sequence[FrozenTrial], rows: Sequence[np.ndarray | None], n_retries: int
) -> list[bool]:
    """Tell which trials failed with an architecture that has failed at most so often."""
    if n_retries == 0:
        return len(trials) * [False]
    failed = [t.state == TrialState.FAIL for t in trials]
    keys = [b"" if row is None else row.tobytes() for row in rows]
    failures = Counter(compress(keys, failed))
    return [f and failures[key] <= n_retries for f, key in zip(failed, keys, strict=True)]


def hyperparameters(
    study: Study, space: SearchSpace, current: FrozenTrial | None
) -> Hyperparameters:
    """Find what the study's other trials were asked beside the architecture."""
    return asked_beside(others_of(study, current), space)


def any_finished(study: Study) -> bool:
    """Tell whether any trial of the study has ended."""
    return any(trial.state.is_finished() for trial in all_of(study))


def asked_beside(trials: Iterable[FrozenTrial], space: SearchSpace) -> Hyperparameters:
    """Find what trials were asked beside the architecture.

    A name has the distribution of the latest trial that was asked for it, so that a range may
    change during a study. One with a single value is no question.
    """
    distributions: dict[str, BaseDistribution] = {}
    for trial in trials:
        distributions.update(trial.distributions)
    return Hyperparameters(
        {
            name: distributions[name]
            for name in sorted(distributions.keys() - space.distributions().keys())
            if not distributions[name].single()
        }
    )


def all_of(study: Study) -> list[FrozenTrial]:
    """Return all trials of a study, under Hyperband too; they are not to be changed."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def others_of(study: Study, current: FrozenTrial | None) -> list[FrozenTrial]:
    """Return all trials but the current one, from the storage itself.

    Under Hyperband, ``study.get_trials`` shows one bracket. Completed trials of the others had
    the same resource, and their architectures are not to be evaluated again either.
    """
    trials = all_of(study)
    if current is None:
        return trials
    return [trial for trial in trials if trial.number != current.number]


def _stack(rows: Iterable[np.ndarray | None], space: SearchSpace) -> np.ndarray:
    none = space.sample(0, np.random.default_rng())
    return np.array([*rows], dtype=none.dtype).reshape(-1, none.shape[1])


def write_attributes(study: Study, trial: FrozenTrial, attributes: Mapping[str, Any]) -> None:
    """Write user attributes of a running trial, one call to the storage each."""
    for key, value in attributes.items():
        study._storage.set_trial_user_attr(trial._trial_id, key, value)
