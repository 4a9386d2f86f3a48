"""Make the past studies of a search: trials on the other tasks of its family."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import create_trial

from benchmarks.common.files import replaced
from benchmarks.tasks import Archive
from benchmarks.tasks import Family
from benchmarks.tasks import SearchSpace
from benchmarks.tasks import SearchTask
from benchmarks.tasks import TableError
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import Task


BY = ("random", "tpe")
SPOILS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "shuffled": lambda values, rng: rng.permutation(values),
    "negated": lambda values, rng: -values,
    "constant": lambda values, rng: np.full(len(values), np.median(values)),
    "short": lambda values, rng: values,
}

Trials = tuple[np.ndarray, np.ndarray]  # n x P architectures, n values
Params = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class PastSetting:
    """Kind and amount of past studies that a search is given.

    Attributes:
        n: Trials of each past study; an archive may have fewer.
        by: ``random`` trials (of architectures alone without repeats), or those that Optuna's
            ``tpe`` makes.
        tasks: How many past studies, the first in an order that depends on the seed; None for
            all, and there may be fewer.
        spoil: What is wrong with them: the values are ``shuffled`` within each study,
            ``negated`` or ``constant``, or the past is ``short``, one study of five trials.
    """

    n: int = 200
    by: str = "random"
    tasks: int | None = None
    spoil: str | None = None

    def __post_init__(self) -> None:
        if self.spoil == "short":
            object.__setattr__(self, "n", 5)
            object.__setattr__(self, "tasks", 1)

    def __str__(self) -> str:
        tasks = f"{self.tasks or 'all'}tasks"
        return "-".join([f"history{self.n}", self.by, tasks, *filter(None, [self.spoil])])

    def check(self, family: Family) -> None:
        """Raise :class:`TableError` if the family cannot have such a past."""
        if self.by == "tpe" and family.archives:
            raise TableError(
                f"{', '.join(family.archives)} are archives, on which TPE cannot search; leave "
                "their space out of --space, or --history-by tpe."
            )


def past_studies(
    family: Family, target: str, past: PastSetting, seed: int, cache: Path
) -> tuple[Study, ...]:
    """Make one study for each past task; it depends on ``past``, the seed and the task only.

    So all methods get the same ones. TPE's architectures are kept in the folder ``cache``.
    """
    past.check(family)
    sources, studies = family.past(target), []
    for name in _chosen(list(sources), past.tasks, seed):
        rng = np.random.default_rng([seed, crc32(name.encode())])
        kept = cache / f"{name}-{past.by}{past.n}-seed{seed}.npz"
        if family.hyperparameters:
            params, values = _joint_trials(sources[name], family, past, rng)
        else:
            X, values = _trials(sources[name], family.space, past, rng, kept)
            params = [family.space.decode(row) for row in X]
        if past.spoil:
            values = SPOILS[past.spoil](values, rng)
        studies.append(study_of(name, family.distributions(), params, values))
    return tuple(studies)


def _chosen(names: list[str], n: int | None, seed: int) -> list[str]:
    """Draw ``n`` of the names, in their order; a larger ``n`` adds to the same ones."""
    order = np.random.default_rng([seed, crc32(b"past")]).permutation(len(names))
    return [names[i] for i in sorted(order[:n])]


def studies_of(tasks: Sequence[Task], space: Space) -> tuple[Study, ...]:
    """Make a maximized study of each past task."""
    known = space.distributions()
    return tuple(
        study_of(task.name, known, [space.decode(row) for row in task.X], task.y) for task in tasks
    )


def study_of(
    name: str, known: Mapping[str, BaseDistribution], params: Params, values: np.ndarray
) -> Study:
    """Make a maximized study of finished trials, with the distributions of their parameters."""
    study = optuna.create_study(study_name=name, direction="maximize")
    study.add_trials(
        create_trial(
            value=float(value),
            params=dict(asked),
            distributions={parameter: known[parameter] for parameter in asked},
        )
        for asked, value in zip(params, values, strict=True)
    )
    return study


def _joint_trials(
    task: SearchTask, family: Family, past: PastSetting, rng: np.random.Generator
) -> tuple[Params, np.ndarray]:
    """Search for architecture and hyper-parameters at random or by TPE: ``n`` trials."""
    seed = int(rng.integers(1 << 31))
    sampler = TPESampler(seed=seed) if past.by == "tpe" else RandomSampler(seed=seed)
    study = _searched(task, family, sampler, past.n)
    return [t.params for t in study.trials], np.array([t.value for t in study.trials])


def _searched(task: SearchTask, space: SearchSpace, sampler: BaseSampler, n: int) -> Study:
    """Run ``n`` trials of a sampler on a task."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(lambda trial: task.evaluate(space.encode(space.suggest(trial))).value, n)
    return study


def _trials(
    source: SearchTask | Archive,
    space: Space,
    past: PastSetting,
    rng: np.random.Generator,
    kept: Path,
) -> Trials:
    if isinstance(source, Archive):
        lines = rng.permutation(len(source.values))[: past.n]
        return source.X[lines], source.values[lines]
    if past.by == "tpe":
        return _tpe(source, space, past.n, int(rng.integers(1 << 31)), kept)
    X = _different(space, past.n, rng)
    return X, np.array([source.evaluate(row).value for row in X])


def _different(space: Space, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``n x P`` random architectures without repeats."""
    if n > space.size:
        raise ValueError(f"{n} different architectures from a space of {space.size}")
    X = space.sample(n, rng)
    while len(first := np.unique(X, axis=0, return_index=True)[1]) < n:
        X = np.concatenate([X, space.sample(n, rng)])
    return X[np.sort(first)[:n]]


def _tpe(task: SearchTask, space: Space, n: int, seed: int, kept: Path) -> Trials:
    """Search by TPE, repeats included; read the trials from the file ``kept`` if it exists."""
    if not kept.exists():
        study = _searched(task, space, TPESampler(seed=seed), n)
        X = np.array([space.encode(trial.params) for trial in study.trials])
        with replaced(kept) as file:  # by an equal one, if another process is at the same
            np.savez(file, X=X, values=np.array([trial.value for trial in study.trials]))
    with np.load(kept) as trials:
        return trials["X"], trials["values"]
