"""Past studies as tasks: one study, one data set, its evaluated architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
import hashlib
from itertools import compress
from typing import Any
from typing import Literal
from typing import TYPE_CHECKING

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import HistoryError
from optuna_tnas.experimental import warn_experimental
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.hyperparameters import contradictory
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.hyperparameters import NONE
from optuna_tnas.spaces.hyperparameters import united
from optuna_tnas.studies.choices import encoded
from optuna_tnas.studies.curves import Curve
from optuna_tnas.studies.frames import read_frame
from optuna_tnas.studies.settled import SettledTrials
from optuna_tnas.studies.storage import open_storage
from optuna_tnas.studies.trials import asked_beside
from optuna_tnas.studies.values import all_values
from optuna_tnas.studies.values import metrics_of


if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore
    from pandas import DataFrame


@dataclass(frozen=True)
class Task:
    """One metric of a past study: an objective, or a measured constraint.

    Attributes:
        name: The study's name.
        X: ``n x P`` int64 architectures.
        y: ``n`` float64 values, higher is better whatever the study's direction.
        dataset: A sample of its data set, if known.
        params: ``n`` trials' parameters beside the architecture.
        hyperparameters: Their distributions.
        metric: The objective's name, as ``study.set_metric_names`` has it, or the constraint's;
            None without one.
        curves: What the ``n`` trials reported on the way, None where nothing; empty if none did.
        objective: Whether it is an objective, no constraint.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    dataset: DatasetSample | None = None
    params: Sequence[Mapping[str, Any]] = ()
    hyperparameters: Hyperparameters = NONE
    metric: str | None = None
    curves: Sequence[Curve | None] = ()
    objective: bool = True

    def coordinates(self, hyperparameters: Hyperparameters) -> np.ndarray:
        """Convert the trials' hyper-parameters: ``n x H``, NaN for what is missing."""
        rows = [hyperparameters.encode(params) for params in self.params]
        missing = np.full((len(self.y), len(hyperparameters)), np.nan)
        return np.array(rows).reshape(missing.shape) if self.params else missing


@dataclass(frozen=True)
class MetaDataset:
    """Past studies of one search space.

    Attributes:
        space: The search space.
        tasks: One per usable study, of one with several objectives or constraints one for each.
        left_out: Why studies and trials were left out, and how many.
    """

    space: Space
    tasks: tuple[Task, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_storage(
        cls,
        storage: str | BaseStorage,
        space: Space,
        *,
        artifact_store: ArtifactStore | None = None,
    ) -> MetaDataset:
        """Read every study of an Optuna storage that searched this space.

        Args:
            storage: A URL such as ``"sqlite:///history.db"``, or a storage.
            space: The search space; studies of other spaces are left out.
            artifact_store: Where the studies' data set samples are, if they have any.

        Raises:
            HistoryError: If no study is usable; the text says what was left out and why.
            StorageError: If there is no such storage, or it cannot be opened.
        """
        storage = open_storage(storage, create=False)  # once: each opening takes a while
        names = optuna.get_all_study_names(storage)
        studies = (optuna.load_study(study_name=name, storage=storage) for name in names)
        return cls.from_studies(studies, space, artifact_store=artifact_store)

    @classmethod
    def from_studies(
        cls,
        studies: Iterable[Study],
        space: Space,
        *,
        artifact_store: ArtifactStore | None = None,
        datasets: Mapping[str, DatasetSample] | None = None,
    ) -> MetaDataset:
        """Read the given studies.

        Args:
            studies: Past studies of different names; one study is one task. Each is read before
                the next one is asked for.
            space: The search space.
            artifact_store: Where data set samples were attached to.
            datasets: Samples by study name, for studies without an attached one.

        Raises:
            HistoryError: If no study is usable; the text says what was left out and why. Also if
                two usable studies have the same name, as those of two storages may.
        """
        left_out: Counter[str] = Counter()
        tasks: list[Task] = []
        read: set[str] = set()
        for study in studies:
            found, name = _read(study, space, left_out), study.study_name
            if not found:
                continue
            if name in read:
                raise HistoryError(
                    f"Two studies have the name {name!r}; copy one of them under another "
                    "name with optuna.copy_study(..., to_study_name=...)."
                )
            read.add(name)
            dataset = (datasets or {}).get(name)
            if dataset is None and artifact_store is not None:
                dataset = DatasetSample.attached_to(study, artifact_store)
            tasks += [replace(task, dataset=dataset) for task in found]
        _check_usable(tasks, space, left_out)
        tasks = _named(tasks)
        for name in contradictory([task.hyperparameters for task in tasks]):
            left_out[f"hyper-parameter {name!r}, a number here and a choice there"] += 1
        return cls(space, tuple(tasks), dict(left_out))

    @classmethod
    def from_frames(
        cls,
        frames: Mapping[str, DataFrame],
        space: Space,
        *,
        value: str,
        direction: Literal["minimize", "maximize"],
        datasets: Mapping[str, DatasetSample] | None = None,
    ) -> MetaDataset:
        """Read tables of runs, as W&B, MLflow, Ray Tune, NePS and Optuna export them.

        A column of a parameter may have a group before its name, such as ``config.``,
        ``params.`` or ``config/``. Cells may be text. Rows without a value, whose state (a column
        ``state`` or ``status``) is not one of a finished run, or whose parameters are not the
        space's, are left out.

        Args:
            frames: By the study's name, a pandas ``DataFrame`` with one row for each run.
            space: The search space.
            value: The column of the objective's value, with or without its group.
            direction: Whether lower or higher values are better.
            datasets: Samples of the data sets by study name.

        Raises:
            HistoryError: If no study is usable, the text says what was left out and why; if a
                frame lacks the parameters or the values, or the direction is another word.
        """
        warn_experimental("`MetaDataset.from_frames`")
        signs = {"minimize": -1.0, "maximize": 1.0}
        if direction not in signs:
            raise HistoryError(f"direction cannot be {direction!r}; give one of {[*signs]}.")
        if not isinstance(frames, Mapping):
            raise HistoryError(
                f"frames is a {type(frames).__name__}; give a mapping, {{name: DataFrame}}."
            )
        left_out: Counter[str] = Counter()
        tasks: list[Task] = []
        for name, frame in frames.items():
            X, y = read_frame(name, frame, space, value, left_out)
            if len(y) < 2:
                left_out["frames with fewer than two usable rows"] += 1
                continue
            dataset = (datasets or {}).get(name)
            tasks.append(Task(name, X, signs[direction] * y, dataset))
        _check_usable(tasks, space, left_out)
        return cls(space, tuple(tasks), dict(left_out))

    def without(self, *names: str) -> MetaDataset:
        """Remove the studies of these names.

        Raises:
            HistoryError: If there is no such study, or none would remain.
        """
        known = self.studies
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise HistoryError(f"There is no study {unknown[0]!r} in the history; it has {known}.")
        kept = tuple(task for task in self.tasks if task.name not in names)
        if not kept:
            raise HistoryError(f"Without {list(names)} the history is empty.")
        return MetaDataset(self.space, kept, self.left_out)

    def copies(self, name: str) -> list[str]:
        """Find the other studies that hold the trials of the one of this name.

        As ``optuna.copy_study`` and merged storages leave them: at least half of the trials of
        the smaller one are trials of the other, architecture and value of the same metric.
        """
        own = {task.metric: _trials(task) for task in self.tasks if task.name == name}
        others = [task for task in self.tasks if task.name != name and task.metric in own]
        copies = (t.name for t in others if _are_copies(own[t.metric], _trials(t)))
        return list(dict.fromkeys(copies))

    @property
    def studies(self) -> list[str]:
        """Names of the studies."""
        return list(dict.fromkeys(task.name for task in self.tasks))

    @property
    def labels(self) -> list[str]:
        """A name for each task: the study's, and the metric's where it has several."""
        n_tasks = Counter(task.name for task in self.tasks)
        return [
            task.name if n_tasks[task.name] == 1 else f"{task.name}: {task.metric or 'objective'}"
            for task in self.tasks
        ]

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What the past studies searched beside the architecture, each range the widest."""
        return united([task.hyperparameters for task in self.tasks])

    @property
    def metrics(self) -> tuple[str | None, ...]:
        """The tasks' metrics, in the order of the tasks."""
        return tuple(dict.fromkeys(task.metric for task in self.tasks))

    def of_metric(self, metric: str | None) -> tuple[Task, ...]:
        """Take the tasks of a metric."""
        return tuple(task for task in self.tasks if task.metric == metric)

    @property
    def n_trials(self) -> int:
        """Evaluated architectures in all studies."""
        return sum({task.name: len(task.y) for task in reversed(self.tasks)}.values())

    @property
    def fingerprint(self) -> str:
        """16 hex digits that are equal for histories that teach the same."""
        digest = hashlib.sha256(self.space.fingerprint.encode())
        several = len(self.metrics) > 1
        for task in self.tasks:
            known = [] if task.dataset is None else [task.dataset.points, task.dataset.labels]
            beside = [task.coordinates(task.hyperparameters)] if task.params else []
            name = (task.name, task.metric) if several else task.name
            for array in (task.X, task.y, *beside, *known):
                digest.update(repr((name, array.shape)).encode() + array.tobytes())
        return digest.hexdigest()[:16]


def _check_usable(tasks: Sequence[Task], space: Space, left_out: Mapping[str, int]) -> None:
    if not tasks:
        reasons = "; ".join(f"{n} {why}" for why, n in left_out.items()) or "no study at all"
        raise HistoryError(
            f"The history holds no study to learn from ({reasons}). A study needs at least "
            f"two completed trials with the parameters {[p.name for p in space.parameters]}."
        )


def _named(tasks: Sequence[Task]) -> list[Task]:
    """Name objectives without a name, if all other studies' first objective has the same one."""
    first = {task.name: task.metric for task in reversed(tasks)}
    names = set(first.values()) - {None}
    usual = names.pop() if len(names) == 1 else None
    return [replace(t, metric=usual) if t.metric is None else t for t in tasks]


def _are_copies(own: Counter[bytes], other: Counter[bytes]) -> bool:
    """Tell whether two studies have half of the trials of the smaller one in common."""
    return 2 * (own & other).total() >= min(own.total(), other.total())


def _trials(task: Task) -> Counter[bytes]:
    """Count the task's trials by architecture, hyper-parameters and value."""
    beside = task.coordinates(task.hyperparameters)
    return Counter(row.tobytes() for row in np.column_stack([task.X, beside, task.y]))


def _read(study: Study, space: Space, left_out: Counter[str]) -> list[Task]:
    """Read each metric of a study's usable trials; count what is left out and why.

    The objectives come first, in their order.
    """
    if len(study.directions) > 1 and not study.metric_names:
        left_out["multi-objective studies without study.set_metric_names"] += 1
        return []
    trials = study.get_trials(deepcopy=False)
    names = {p.name for p in space.parameters}
    if not any(names & trial.distributions.keys() for trial in trials):
        left_out["studies of other spaces"] += 1
        return []
    rows = [(trial, _row(trial, space, left_out)) for trial in trials]
    usable = [(trial, row) for trial, row in rows if row is not None]
    if len(usable) < 2:
        left_out["studies with fewer than two usable trials"] += 1
        return []
    completed = [trial for trial, _ in usable]
    beside = asked_beside(completed, space)
    params = [trial.params for trial in completed] if len(beside) else []
    whole = Task(study.study_name, np.stack([row for _, row in usable]), np.empty(0), None, params)
    whole = replace(whole, hyperparameters=beside)
    metrics = metrics_of(study)
    columns = np.ascontiguousarray(all_values(completed, metrics).T)
    tasks = [replace(whole, y=y, metric=m.name) for m, y in zip(metrics, columns, strict=True)]
    if len(metrics) == 1 and any(trial.intermediate_values for trial in completed):
        curves = [Curve.of(trial, metrics[0].sign) for trial in completed]
        tasks = [replace(tasks[0], curves=curves)]
    constraints = SettledTrials().constraints(study, completed)
    others = constraints.keys() - {metric.name for metric in metrics}
    measured = [_constraint_task(whole, name, constraints[name]) for name in sorted(others)]
    return [*tasks, *(task for task in measured if len(task.y) > 1)]


def _constraint_task(whole: Task, name: str, values: np.ndarray) -> Task:
    """Take those of a study's ``n`` trials that have a constraint; lower values are better."""
    known = ~np.isnan(values)
    params = [*compress(whole.params, known)]
    found = replace(whole, X=whole.X[known], y=-values[known], params=params, metric=name)
    return replace(found, objective=False)


def _row(trial: FrozenTrial, space: Space, left_out: Counter[str]) -> np.ndarray | None:
    if trial.state != TrialState.COMPLETE:
        left_out[f"trials that are {trial.state.name.lower()}"] += 1
        return None
    row = encoded(trial.params, space)
    if row is None:
        left_out[_why_foreign(trial.params, space)] += 1
    return row


def _why_foreign(params: Mapping[str, Any], space: Space) -> str:
    """Tell why a trial's parameters are no architecture of the space."""
    for p in space.parameters:
        if p.name in params and params[p.name] not in p.choices:
            return f"trials whose {p.name!r} is none of the space's choices"
    return "trials without all of the space's parameters"
