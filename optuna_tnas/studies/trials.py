"""A study's trials as arrays, and the claims by which workers see each other's architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from itertools import compress
from itertools import count
import json
from operator import and_
import time
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.errors import SpaceError
from optuna_tnas.errors import StudyError
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import architectures_of
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies.curves import Curve
from optuna_tnas.studies.curves import Curves
from optuna_tnas.studies.fronts import fronts


# A claim is a list of choice positions rather than values, in one attribute, so that a reader
# never meets half of it: Optuna 5's storages hold at least 65,535 bytes in one (MySQL's TEXT),
# which is 20,000 parameters. The attribute's name ends with the space's fingerprint, so that
# claims of another space's architectures are not seen.
_CLAIM = "tnas:architecture:"
# Where Optuna keeps what ``enqueue_trial`` fixed.
_ENQUEUED = "fixed_params"
# Where Optuna's samplers keep what they chose for a running trial, as JSON in numbered pieces.
_RELATIVE = ("gp:relative_params", "tpe:relative_params")
# Where Optuna keeps ``study.metric_names``, which a study under Hyperband does not show.
_METRIC_NAMES = "study:metric_names"
# Seconds to wait for a younger trial with the same claim to give way, which takes it one read and
# one write; longer only if its process died in between.
_PATIENCE = 2.0
_UNFINISHED = (TrialState.PRUNED, TrialState.RUNNING)
_UNCONSTRAINED: dict[str, float] = {}  # one for all: the garbage collector visits each


@dataclass(frozen=True)
class Metric:
    """One of several objectives.

    Attributes:
        name: As ``study.set_metric_names`` has it; None without names.
        sign: The factor that makes higher values better: 1 or -1.
    """

    name: str | None
    sign: float


@dataclass(frozen=True)
class Observations:
    """A study's architectures and values.

    Attributes:
        X: ``n x P`` int64, architectures with a value.
        y: ``n`` float64, their values, higher is better; infinite ones may be among them. With M
            objectives ``n x M``.
        pending: ``p x P`` int64, architectures being evaluated.
        avoided: ``m x P`` int64, architectures that are not to be suggested again.
        constraints: By name, ``n`` float64 values of a constraint, which is met at 0 or less; NaN
            where a trial lacks it.
        metrics: The objectives if there are several; empty if there is one.
        objective: The only objective's name, if it has one.
        curves: What trials reported while they trained; None if no unfinished one did.
    """

    X: np.ndarray
    y: np.ndarray
    pending: np.ndarray
    avoided: np.ndarray
    constraints: Mapping[str, np.ndarray] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    objective: str | None = None
    curves: Curves | None = None

    @property
    def names(self) -> list[str | None]:
        """The objectives' names, None for those without one."""
        return [metric.name for metric in self.metrics] or [self.objective]

    @property
    def feasible(self) -> np.ndarray:
        """Which architectures violate no constraint that they have: ``n`` bool."""
        return np.asarray(self._violation == 0)

    @property
    def merit(self) -> np.ndarray:
        """How good the architectures are: ``n`` float64.

        The values, if all are feasible. Else ranks: feasible ones by value come after the others
        by how much they violate. With several objectives feasible ones rank by the front that
        they are on, then by how far they are from their neighbors there.
        """
        if self.feasible.all() and not self.metrics:
            return self.y
        values = [*fronts(self.y)] if self.metrics else [self.y]
        merit = np.empty(len(self.y))
        merit[np.lexsort((*reversed(values), -self._violation))] = np.arange(len(self.y))
        return merit

    @property
    def _violation(self) -> np.ndarray:
        """Sum of the constraints' positive values: ``n`` float64."""
        violated = [np.nan_to_num(v.clip(0), posinf=np.inf) for v in self.constraints.values()]
        return np.sum([np.zeros(len(self.y)), *violated], axis=0)


class FinishedTrials:
    """The architectures, constraints and reports of trials, once they do not change any more.

    They are kept as long as their storage, so that a suggestion reads only what is new. Nothing
    but the time depends on what is kept.
    """

    def __init__(self) -> None:
        self._rows: WeakKeyDictionary[BaseStorage, dict[str, dict[int, np.ndarray | None]]]
        self._rows = WeakKeyDictionary()
        self._constraints: WeakKeyDictionary[BaseStorage, dict[int, dict[str, float]]]
        self._constraints = WeakKeyDictionary()
        self._curves: WeakKeyDictionary[BaseStorage, dict[int, Curve | None]]
        self._curves = WeakKeyDictionary()

    def architectures(
        self, study: Study, trials: Sequence[FrozenTrial], space: SearchSpace
    ) -> list[np.ndarray | None]:
        """Return each trial's :func:`architecture`."""
        rows = self._rows.setdefault(study._storage, {}).setdefault(space.named_fingerprint, {})
        names = space.distributions().keys()
        found = []
        for trial in trials:
            # Parameters never change either; a claim may, until all of them are there.
            settled = trial.state.is_finished() or names <= trial.params.keys()
            if not settled:
                found.append(architecture(trial, space))
                continue
            if trial._trial_id not in rows:
                rows[trial._trial_id] = architecture(trial, space)
            found.append(rows[trial._trial_id])
        return found

    def constraints(self, study: Study, trials: Sequence[FrozenTrial]) -> dict[str, np.ndarray]:
        """Return the values of ``n`` completed trials by the constraint's name: ``n`` float64.

        NaN stands for what is missing.
        """
        kept = self._constraints.setdefault(study._storage, {})
        for trial in trials:
            if trial._trial_id not in kept:
                kept[trial._trial_id] = _constraints(trial) or _UNCONSTRAINED
        found = [kept[trial._trial_id] for trial in trials]
        names = sorted(set().union(*found))
        return {name: np.array([values.get(name, np.nan) for values in found]) for name in names}

    def curves(self, study: Study, trials: Sequence[FrozenTrial]) -> list[Curve | None]:
        """Return what each trial reported."""
        kept, sign = self._curves.setdefault(study._storage, {}), sign_of(study)
        for trial in trials:
            if trial.state.is_finished() and trial._trial_id not in kept:
                kept[trial._trial_id] = Curve.of(trial, sign)
        return [kept[t._trial_id] if t.state.is_finished() else Curve.of(t, sign) for t in trials]


def _constraints(trial: FrozenTrial) -> dict[str, float]:
    """Return a trial's constraints, without what is no number."""
    try:
        return {n: v for n, v in trial.constraints.items() if isinstance(v, int | float)}
    except TypeError:  # the attribute is no list
        return {}


def read_study(
    study: Study,
    space: SearchSpace,
    current: FrozenTrial | None,
    finished: FinishedTrials | None = None,
    n_retries: int = 0,
) -> Observations:
    """Read every architecture of the study but the current trial's.

    Completed trials are observations; running ones are pending; neither they nor failed, pruned
    or waiting ones are to be suggested again. Trials without an architecture of the space do
    not count.

    Args:
        study: The study.
        space: The search space.
        current: The trial that an architecture is wanted for, if there is one.
        finished: What is known of finished trials.
        n_retries: How often an architecture whose trials fail may come again.

    Raises:
        StudyError: If the study has a parameter of the space's with other choices.
    """
    return observe(study, _others(study, current), space, finished, n_retries)


def observe(
    study: Study,
    others: Sequence[FrozenTrial],
    space: SearchSpace,
    finished: FinishedTrials | None = None,
    n_retries: int = 0,
) -> Observations:
    """Convert some of a study's trials; see :func:`read_study`."""
    finished = finished or FinishedTrials()
    rows = finished.architectures(study, others, space)
    # No pairs: tens of thousands of tuples would have the garbage collector go through it all.
    known = [row is not None for row in rows]
    completed = [t.state == TrialState.COMPLETE for t in others]
    running = [t.state == TrialState.RUNNING for t in others]
    observed = [*map(and_, known, completed)]
    observations = [*compress(others, observed)]
    closed = [not again for again in _may_come_again(others, rows, n_retries)]
    one = len(study.directions) == 1
    metrics = metrics_of(study)
    return Observations(
        X=_stack(compress(rows, observed), space),
        y=values(study, observations) if one else all_values(observations, metrics),
        pending=_stack(compress(rows, map(and_, known, running)), space),
        avoided=_stack(compress(rows, map(and_, known, closed)), space),
        constraints=finished.constraints(study, observations),
        metrics=() if one else metrics,
        objective=metrics[0].name if one else None,
        curves=_curves(study, others, rows, observations, space, finished) if one else None,
    )


def _curves(
    study: Study,
    trials: Sequence[FrozenTrial],
    rows: Sequence[np.ndarray | None],
    completed: Sequence[FrozenTrial],
    space: SearchSpace,
    finished: FinishedTrials,
) -> Curves | None:
    """Read the learning curves of a study; None if no unfinished trial reported anything."""
    told = [
        row is not None and trial.state in _UNFINISHED and len(trial.intermediate_values) > 0
        for trial, row in zip(trials, rows, strict=True)
    ]
    if not any(told):
        return None
    unfinished = finished.curves(study, [*compress(trials, told)])
    return Curves(
        X=_stack(compress(rows, told), space),
        unfinished=[curve for curve in unfinished if curve is not None],
        completed=finished.curves(study, completed),
    )


def _may_come_again(
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
    return asked_beside(_others(study, current), space)


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


def sign_of(study: Study) -> float:
    """Return the factor that makes higher values better: 1 or -1."""
    return float(signs_of(study)[0])


def signs_of(study: Study) -> np.ndarray:
    """Return the factors that make higher values of each objective better: ``M``."""
    return np.array([-1.0 if d == StudyDirection.MINIMIZE else 1.0 for d in study.directions])


def values(study: Study, completed: Sequence[FrozenTrial]) -> np.ndarray:
    """Return the values of ``n`` completed trials, signed so that higher is better: ``n``."""
    return sign_of(study) * np.array([trial.value for trial in completed], dtype=np.float64)


def metrics_of(study: Study) -> list[Metric]:
    """Describe the study's objectives."""
    attributes = study._storage.get_study_system_attrs(study._study_id)
    names: Sequence[str | None] = attributes.get(_METRIC_NAMES) or len(study.directions) * [None]
    return [Metric(*both) for both in zip(names, signs_of(study).tolist(), strict=True)]


def all_values(completed: Sequence[FrozenTrial], metrics: Sequence[Metric]) -> np.ndarray:
    """Return the values of ``n`` completed trials, signed so that higher is better: ``n x M``."""
    signs = np.array([metric.sign for metric in metrics])
    return signs * np.array([t.values for t in completed], dtype=np.float64).reshape(
        -1, len(signs)
    )


def encoded(params: Mapping[str, Any], space: SearchSpace) -> np.ndarray | None:
    """Convert a trial's parameters to an architecture (``P``); None if they are not one."""
    try:
        return space.encode(params)
    except SpaceError:
        return None


def all_of(study: Study) -> list[FrozenTrial]:
    """Return all trials of a study, under Hyperband too; they are not to be changed."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def _others(study: Study, current: FrozenTrial | None) -> list[FrozenTrial]:
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


def architecture(trial: FrozenTrial, space: SearchSpace) -> np.ndarray | None:
    """Return the architecture (``P``) that the trial evaluates or is going to; None without one.

    Raises:
        StudyError: If the trial has a parameter of the space's with other choices.
    """
    _check_choices(trial, space)
    return encoded(_params(trial, space), space)


def _params(trial: FrozenTrial, space: SearchSpace) -> Mapping[str, Any]:
    """Return the parameters that the trial has, was enqueued with or has claimed."""
    if trial.state.is_finished():
        return given(trial)
    return {**_relative(trial), **_claimed(trial, space), **given(trial)}


def _claimed(trial: FrozenTrial, space: SearchSpace) -> Mapping[str, Any]:
    """Return what the trial has claimed; nothing if that is no row of the space."""
    claim = trial.system_attrs.get(_claim_key(space))
    if not isinstance(claim, list):
        return {}
    choices = [range(len(p.choices)) for p in architectures_of(space).parameters]
    try:
        possible = all(c in known for c, known in zip(claim, choices, strict=False))
        return space.decode(np.array(claim), inactive=True) if possible else {}
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return {}  # no sampler wrote that


def _relative(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return what another sampler chose for the trial; nothing if only a part is written yet."""
    for key in _RELATIVE:
        try:
            params = json.loads("".join(_pieces(trial, key)))
        except (ValueError, RecursionError):
            continue
        if isinstance(params, dict):
            return params
    return {}


def _pieces(trial: FrozenTrial, key: str) -> Iterator[str]:
    for i in count():
        piece = trial.system_attrs.get(f"{key}:{i}")
        if not isinstance(piece, str):
            return
        yield piece


def _check_choices(trial: FrozenTrial, space: SearchSpace) -> None:
    own = architectures_of(space)
    for name, expected in own.distributions().items():
        found = trial.distributions.get(name, expected)
        if found != expected and not own.accepts(name, found):
            raise StudyError(
                f"In trial {trial.number} the parameter {name!r} is {found}, in the sampler's "
                f"space it is {expected}. Use the space that the study was made with, another "
                "study, or other parameter names (names=[...]). For a space that grew, see "
                "Space.extended: a new study takes wider.converted(study.trials)."
            )


def given(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the parameters that the trial already has: enqueued and suggested ones."""
    return {**enqueued(trial), **trial.params}


def enqueued(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the parameters that the trial was enqueued with."""
    fixed = trial.system_attrs.get(_ENQUEUED)
    return fixed if isinstance(fixed, dict) else {}


def has_claimed(trial: FrozenTrial) -> bool:
    """Tell whether a sampler of this package chose the trial's architecture."""
    attributes = trial.system_attrs.items()
    return any(key.startswith(_CLAIM) and value is not None for key, value in attributes)


def _claim_key(space: SearchSpace) -> str:
    return _CLAIM + space.named_fingerprint


def claim(study: Study, space: SearchSpace, trial: FrozenTrial, row: np.ndarray) -> None:
    """Tell all workers which architecture (``P``) this trial is about to evaluate."""
    study._storage.set_trial_system_attr(trial._trial_id, _claim_key(space), row.tolist())


def write_attributes(study: Study, trial: FrozenTrial, attributes: Mapping[str, Any]) -> None:
    """Write user attributes of a running trial, one call to the storage each."""
    for key, value in attributes.items():
        study._storage.set_trial_user_attr(trial._trial_id, key, value)


def give_way(
    study: Study,
    space: SearchSpace,
    trial: FrozenTrial,
    row: np.ndarray,
    finished: FinishedTrials | None = None,
    n_retries: int = 0,
) -> int:
    """Withdraw the claim unless the architecture is this trial's alone.

    Every worker writes its claim before it looks for others', so of two equal claims at least
    one worker sees the other's. It gives way to a trial that is older or already evaluates the
    architecture, and waits for a younger one that is still undecided, which will see the older
    claim. So one of those who claim an architecture at the same time keeps it.

    Returns:
        How many other trials have the architecture; 0 if the claim stands.
    """
    deadline = time.monotonic() + _PATIENCE
    finished = finished or FinishedTrials()
    while rivals := _rivals(study, space, trial, row, finished, n_retries):
        prevails = any(_decided(t, space) or t.number < trial.number for t in rivals)
        if prevails or time.monotonic() > deadline:
            study._storage.set_trial_system_attr(trial._trial_id, _claim_key(space), None)
            return len(rivals)
        time.sleep(0.01)
    return 0


def _rivals(
    study: Study,
    space: SearchSpace,
    trial: FrozenTrial,
    row: np.ndarray,
    finished: FinishedTrials,
    n_retries: int,
) -> list[FrozenTrial]:
    """Find the other trials with the same architecture, but for those that may come again."""
    wanted = row.tolist()
    others = _others(study, trial)
    rows = finished.architectures(study, others, space)
    again = _may_come_again(others, rows, n_retries)
    same = [
        other is not None and not comes and other.tolist() == wanted
        for other, comes in zip(rows, again, strict=True)
    ]
    return [*compress(others, same)]


def _decided(trial: FrozenTrial, space: SearchSpace) -> bool:
    """Tell whether the trial's architecture is final.

    Optuna stores parameters once they are chosen. Without a claim, another sampler chose them.
    """
    return (
        trial.state != TrialState.RUNNING
        or trial.system_attrs.get(_claim_key(space)) is None
        or not space.distributions().keys().isdisjoint(trial.params)
    )
