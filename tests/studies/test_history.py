"""Past studies as tasks, from every kind of study that a storage may hold."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import replace
import gc
from pathlib import Path
from typing import Any
import weakref

import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import TrialState
import pytest

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import DatasetError
from optuna_tnas.errors import HistoryError
from optuna_tnas.errors import StorageError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task


@pytest.fixture
def study_of(space: Space) -> Callable[..., Study]:
    """A study of random architectures, valued by the sum of their choices."""

    def make(
        name: str,
        n: int = 4,
        direction: str = "maximize",
        storage: Any = None,
        searched: Space | None = None,
        seed: int = 0,
    ) -> Study:
        study = optuna.create_study(study_name=name, direction=direction, storage=storage)
        searched = searched or space
        for row in searched.sample(n, np.random.default_rng(seed)):
            add(study, searched.decode(row), searched.distributions(), float(row.sum()))
        return study

    return make


def add(
    study: Study,
    params: dict[str, Any],
    distributions: dict[str, Any],
    value: float | None,
    state: TrialState = TrialState.COMPLETE,
) -> None:
    mine: dict[str, BaseDistribution] = {name: distributions[name] for name in params}
    study.add_trial(create_trial(params=params, distributions=mine, value=value, state=state))


def test_a_storage_holds_a_task_per_study(
    tmp_path: Path, space: Space, study_of: Callable[..., Study]
) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    study_of("a", 4, storage=url)
    study_of("b", 6, storage=url, seed=1)
    for storage in (url, optuna.storages.RDBStorage(url)):
        history = MetaDataset.from_storage(storage, space)
        assert [task.name for task in history.tasks] == ["a", "b"]
        assert [len(task.y) for task in history.tasks] == [4, 6]
        assert history.n_trials == 10
        assert history.left_out == {}
        expected = space.sample(4, np.random.default_rng(0))
        assert (expected == history.tasks[0].X).all()
        assert (history.tasks[0].y == expected.sum(axis=1)).all()
        assert history.tasks[0].dataset is None


def test_higher_is_better_whatever_the_direction(
    space: Space, study_of: Callable[..., Study]
) -> None:
    studies = [study_of(d, direction=d) for d in ("maximize", "minimize")]
    up, down = MetaDataset.from_studies(studies, space).tasks
    assert (down.y == -up.y).all()
    assert (down.X == up.X).all()


def test_infinite_values_are_kept(space: Space, study_of: Callable[..., Study]) -> None:
    study = study_of("a", 2)
    row = space.sample(1, np.random.default_rng(0))[0]
    add(study, space.decode(row), space.distributions(), float("-inf"))
    (task,) = MetaDataset.from_studies([study], space).tasks
    assert task.y[-1] == -np.inf


def test_unusable_trials_are_counted(space: Space, study_of: Callable[..., Study]) -> None:
    study = study_of("a", 4)
    params, distributions = study.trials[0].params, space.distributions()
    name = next(iter(params))
    for state in (TrialState.FAIL, TrialState.FAIL, TrialState.PRUNED):
        add(study, params, distributions, None, state)
    study.ask()
    study.enqueue_trial(params)
    incomplete = {k: v for k, v in params.items() if k != name}
    add(study, incomplete, distributions, 1.0)
    foreign = {**distributions, name: CategoricalDistribution(["none", "dil_conv"])}
    add(study, {**params, name: "dil_conv"}, foreign, 1.0)
    history = MetaDataset.from_studies([study], space)
    assert len(history.tasks[0].y) == 4
    assert history.left_out == {
        "trials that are fail": 2,
        "trials that are pruned": 1,
        "trials that are running": 1,
        "trials that are waiting": 1,
        "trials without all of the space's parameters": 1,
        f"trials whose {name!r} is none of the space's choices": 1,
    }


def test_parameters_beside_the_space_are_ignored(space: Space) -> None:
    study = optuna.create_study(direction="maximize")
    distributions = {**space.distributions(), "lr": FloatDistribution(0, 1)}
    for i, row in enumerate(space.sample(3, np.random.default_rng(0))):
        add(study, {**space.decode(row), "lr": 0.5}, distributions, float(i))
    assert len(MetaDataset.from_studies([study], space).tasks[0].y) == 3


def test_unusable_studies_are_counted(space: Space, study_of: Callable[..., Study]) -> None:
    names = [f"edge_{i}" for i in range(3)]
    renamed = CellSpace.on_edges(3, ("none", "skip", "conv", "pool"), zero=["none"], names=names)
    studies = [
        study_of("usable"),
        optuna.create_study(directions=["maximize", "minimize"]),
        optuna.create_study(study_name="empty"),
        study_of("single", 1),
        study_of("renamed", searched=renamed),
        study_of("mobile", searched=MobileNetV3Space()),
    ]
    history = MetaDataset.from_studies(studies, space)
    assert [task.name for task in history.tasks] == ["usable"]
    assert history.left_out == {
        "multi-objective studies without study.set_metric_names": 1,
        "studies of other spaces": 3,
        "studies with fewer than two usable trials": 1,
    }
    theirs = MetaDataset.from_studies(studies, renamed)
    assert [task.name for task in theirs.tasks] == ["renamed"]


def test_conditional_parameters_need_not_be_there(study_of: Callable[..., Study]) -> None:
    space = MobileNetV3Space()
    study = study_of("mobile", 5, searched=space)
    assert any(len(t.params) < 45 for t in study.trials)
    (task,) = MetaDataset.from_studies([study], space).tasks
    assert (space.sample(5, np.random.default_rng(0)) == task.X).all()


@pytest.mark.parametrize("kind", ["no study", "empty", "single", "failed", "multi", "other"])
def test_a_history_without_a_task_is_refused_with_the_reasons(
    space: Space, study_of: Callable[..., Study], kind: str
) -> None:
    failed = optuna.create_study(study_name="failed")
    row = space.sample(1, np.random.default_rng(0))[0]
    add(failed, space.decode(row), space.distributions(), None, TrialState.FAIL)
    studies, reason = {
        "no study": ([], "no study at all"),
        "empty": ([optuna.create_study()], "1 studies of other spaces"),
        "single": ([study_of("single", 1)], "1 studies with fewer than two usable trials"),
        "failed": ([failed], "1 trials that are fail"),
        "multi": ([optuna.create_study(directions=["maximize"] * 2)], "1 multi-objective"),
        "other": ([study_of("other", searched=NASBench201Space())], "op_0_1"),
    }[kind]
    with pytest.raises(HistoryError, match=reason):
        MetaDataset.from_studies(studies, space)


def test_two_studies_of_one_name_are_refused(space: Space, study_of: Callable[..., Study]) -> None:
    """Nothing could tell them apart: neither :meth:`MetaDataset.without` nor an evaluation."""
    studies = [study_of("nas"), study_of("other"), study_of("nas", seed=1)]
    with pytest.raises(HistoryError, match=r"'nas'.*copy_study"):
        MetaDataset.from_studies(studies, space)
    unusable = study_of("nas", 1)  # what is left out may have any name
    assert len(MetaDataset.from_studies([unusable, *studies[:2]], space).tasks) == 2


def test_studies_are_read_one_at_a_time(space: Space, study_of: Callable[..., Study]) -> None:
    alive: list[weakref.ref[Study]] = []

    def made() -> Iterator[Study]:
        for i in range(4):
            gc.collect()
            assert sum(study() is not None for study in alive) <= 1
            study = study_of(f"study {i}")
            alive.append(weakref.ref(study))
            yield study

    assert len(MetaDataset.from_studies(made(), space).tasks) == 4


def test_an_empty_storage_is_refused(tmp_path: Path, space: Space) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    with pytest.raises(StorageError, match=r"empty\.db does not exist"):
        MetaDataset.from_storage(url, space)
    optuna.storages.RDBStorage(url)
    with pytest.raises(HistoryError, match="no study at all"):
        MetaDataset.from_storage(url, space)


def test_data_sets_come_from_the_artifact_store(
    tmp_path: Path,
    space: Space,
    study_of: Callable[..., Study],
    dataset_of: Callable[..., DatasetSample],
) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    store = FileSystemArtifactStore(tmp_path)
    known = study_of("known", storage=url)
    study_of("unknown", storage=url)
    dataset_of(0, 1.0).attach(known, store)
    dataset_of(1, 1.0).attach(known, store)  # the last one counts
    history = MetaDataset.from_storage(url, space, artifact_store=store)
    found, nothing = (task.dataset for task in history.tasks)
    assert nothing is None
    assert found is not None
    np.testing.assert_allclose(found.points, dataset_of(1, 1.0).points, atol=2e-3)
    assert (found.labels == dataset_of(1, 1.0).labels).all()
    assert MetaDataset.from_storage(url, space).tasks[0].dataset is None


def test_a_store_without_the_sample_is_an_error(
    tmp_path: Path,
    space: Space,
    study_of: Callable[..., Study],
    dataset_of: Callable[..., DatasetSample],
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    study = study_of("study 7")
    dataset_of(0, 1.0).attach(study, FileSystemArtifactStore(tmp_path / "a"))
    with pytest.raises(DatasetError, match="study 7"):
        other = FileSystemArtifactStore(tmp_path / "b")
        MetaDataset.from_studies([study], space, artifact_store=other)


def test_data_sets_by_study_name(
    space: Space, study_of: Callable[..., Study], dataset_of: Callable[..., DatasetSample]
) -> None:
    samples = {"b": dataset_of(0, 1.0)}
    history = MetaDataset.from_studies([study_of("a"), study_of("b")], space, datasets=samples)
    assert [task.dataset for task in history.tasks] == [None, samples["b"]]


def test_without_leaves_tasks_out(space: Space, study_of: Callable[..., Study]) -> None:
    history = MetaDataset.from_studies([study_of("a"), study_of("b"), study_of("c")], space)
    assert [task.name for task in history.without("b").tasks] == ["a", "c"]
    assert [task.name for task in history.without("a", "c").tasks] == ["b"]
    assert len(history.tasks) == 3
    with pytest.raises(HistoryError, match=r"'d'.*\['a', 'b', 'c'\]"):
        history.without("a", "d")
    with pytest.raises(HistoryError, match="empty"):
        history.without("a", "b", "c")


def test_copies_hold_the_same_trials_under_another_name(
    space: Space, study_of: Callable[..., Study]
) -> None:
    """Whether all of them, a part, or in another order."""
    X = space.sample(40, np.random.default_rng(0))
    y = np.random.default_rng(1).standard_normal(40)
    longer = Task("longer", np.concatenate([X, X[:9]]), np.concatenate([y, y[:9] + 1]))
    tasks = [
        *(Task("a", X, y), Task("same", X[::-1], y[::-1]), Task("part", X[:12], y[:12]), longer),
        *(Task("other values", X, y + 1e-9), Task("other rows", X[::-1], y)),
    ]
    few = Task("few of it", np.concatenate([X[:9], X[:20]]), np.concatenate([y[:9], y[:20] - 1]))
    history = MetaDataset(space, (*tasks, few))
    assert history.copies("a") == ["same", "part", "longer"]
    assert history.copies("other values") == []


def test_fingerprints_tell_what_is_taught_apart(
    space: Space, task_of: Callable[..., Task], dataset_of: Callable[[int, float], DatasetSample]
) -> None:
    def history(*tasks: Task) -> MetaDataset:
        return MetaDataset(space, tasks)

    a, b = task_of(0, dataset=dataset_of(0, 1.0)), task_of(1)
    same = task_of(0, dataset=dataset_of(0, 1.0))
    assert history(a, b).fingerprint == history(same, b).fingerprint
    others = [
        history(a),
        history(b, a),
        history(a, replace(b, name="other")),
        history(a, replace(b, y=b.y + 1)),
        history(a, replace(b, X=b.X[::-1].copy())),
        history(replace(a, dataset=None), b),
        history(replace(a, dataset=dataset_of(1, 1.0)), b),
        MetaDataset(NASBench201Space(), (a, b)),
    ]
    assert len({h.fingerprint for h in (history(a, b), *others)}) == len(others) + 1


@pytest.mark.parametrize(
    "names, metrics",
    [
        ([None, None], (None,)),
        (["accuracy", None], ("accuracy",)),
        (["accuracy", "error"], ("accuracy", "error")),
        (["accuracy", "error", None], ("accuracy", "error", None)),
    ],
)
def test_objectives_without_a_name_have_that_of_the_others_if_it_is_one(
    names: list[str | None],
    metrics: tuple[str | None, ...],
    space: Space,
    study_of: Callable[..., Study],
) -> None:
    studies = [study_of(f"{i}", seed=i) for i in range(len(names))]
    for study, name in zip(studies, names, strict=True):
        if name is not None:
            study.set_metric_names([name])
    history = MetaDataset.from_studies(studies, space)
    assert history.metrics == metrics


# --- several metrics ------------------------------------------------------------------------


def two_objectives(space: Space, name: str = "both", n: int = 6) -> Study:
    """Also measures two constraints, all trials but the first."""
    study = optuna.create_study(study_name=name, directions=["maximize", "minimize"])
    study.set_metric_names(["accuracy", "latency"])
    for i, row in enumerate(space.sample(n, np.random.default_rng(3))):
        trial = create_trial(
            values=[float(row.sum()), float(i)],
            params=space.decode(row),
            distributions=dict(space.distributions()),
            constraints={"energy": i - 2.0, "latency": i - 3.0} if i else None,
        )
        study.add_trial(trial)
    return study


def test_a_study_with_several_objectives_is_a_task_of_each(space: Space) -> None:
    study = two_objectives(space)
    accuracy, latency, _ = MetaDataset.from_studies([study], space).tasks
    assert (accuracy.metric, latency.metric) == ("accuracy", "latency")
    assert accuracy.y.tolist() == [t.values[0] for t in study.trials]
    assert latency.y.tolist() == [-t.values[1] for t in study.trials]
    assert (accuracy.X == latency.X).all()


def test_a_constraint_is_a_task_of_the_trials_that_have_it_unless_an_objective_has_its_name(
    space: Space,
) -> None:
    study = two_objectives(space)
    history = MetaDataset.from_studies([study], space)
    assert history.metrics == ("accuracy", "latency", "energy")
    assert [task.objective for task in history.tasks] == [True, True, False]
    assert history.tasks[2].y.tolist() == [-t.constraints["energy"] for t in study.trials[1:]]
    assert (history.tasks[0].X[1:] == history.tasks[2].X).all()


def test_tasks_of_one_study_are_named_counted_and_left_out_together(
    space: Space, dataset_of: Callable[[int, float], DatasetSample], study_of: Callable[..., Study]
) -> None:
    studies = [two_objectives(space), study_of("one")]
    datasets = {"both": dataset_of(0, 1.0)}
    history = MetaDataset.from_studies(studies, space, datasets=datasets)
    assert history.labels == ["both: accuracy", "both: latency", "both: energy", "one"]
    assert history.studies == ["both", "one"]
    assert history.n_trials == 6 + 4
    assert [task.dataset is not None for task in history.tasks] == [True, True, True, False]
    assert history.without("both").studies == ["one"]
    assert [task.name for task in history.of_metric("latency")] == ["both"]


def test_copies_have_the_values_of_a_metric_in_common(space: Space) -> None:
    history = MetaDataset.from_studies([two_objectives(space, name) for name in ("a", "b")], space)
    assert history.copies("a") == ["b"]
    apart = [replace(t, y=t.y + 1) if t.name == "b" else t for t in history.tasks]
    assert MetaDataset(space, tuple(apart)).copies("a") == []


def test_what_a_value_is_of_changes_what_is_taught(space: Space) -> None:
    history = MetaDataset.from_studies([two_objectives(space)], space)
    first, second, third = history.tasks
    renamed = MetaDataset(space, (first, replace(second, metric="error"), third))
    assert renamed.fingerprint != history.fingerprint


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_reports_of_completed_trials_are_kept(space: Space, direction: str) -> None:
    study = optuna.create_study(study_name="a", direction=direction)
    distributions = dict(space.distributions())
    for i, row in enumerate(space.sample(4, np.random.default_rng(0))):
        study.add_trial(
            create_trial(
                params=space.decode(row),
                distributions=distributions,
                value=float(i) if i != 1 else None,
                state=TrialState.COMPLETE if i != 1 else TrialState.PRUNED,
                intermediate_values={} if i == 2 else {2: i + 0.5, 1: float(i)},
            )
        )
    (task,) = MetaDataset.from_studies([study], space).tasks
    sign = 1 if direction == "maximize" else -1
    found = [None if curve is None else dict(curve.reports) for curve in task.curves]
    assert found == [{1: 0.0, 2: sign * 0.5}, None, {1: sign * 3.0, 2: sign * 3.5}]


def test_without_reports_there_are_no_curves(space: Space, study_of: Callable[..., Study]) -> None:
    (task,) = MetaDataset.from_studies([study_of("a")], space).tasks
    assert len(task.curves) == 0
