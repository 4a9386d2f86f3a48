"""BOHB on a family of tasks: what is compared, what is pruned, what a second run goes on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import FixedTrial
from optuna.trial import TrialState
import pytest

from optuna_tnas.config import Config
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import StudyError
from optuna_tnas.meta import training
from optuna_tnas.meta.training import meta_train
from optuna_tnas.meta.tuning import suggest
from optuna_tnas.meta.tuning import table
from optuna_tnas.meta.tuning import tuned_values
from optuna_tnas.meta.tuning import Tuning
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


TaskOf = Callable[..., Task]
BRIEF = Config(
    outer_steps=5, evaluate_every=1, inner_steps=1, batch_size=16, points_per_class=3, held_out=0.4
)
N_TRIALS = 9


@pytest.fixture(scope="module")
def history(
    space: Space, task_of: TaskOf, dataset_of: Callable[[int, float], DatasetSample]
) -> MetaDataset:
    tasks = tuple(task_of(i, dataset=dataset_of(i, 1.0), n=12) for i in range(5))
    return MetaDataset(space, tasks)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tuning')}/tune.db"


@pytest.fixture(scope="module")
def tuning(history: MetaDataset, storage: str) -> Tuning:
    tuning = Tuning(history, storage, seed=3, base=BRIEF)
    tuning.run(N_TRIALS)
    return tuning


def outcomes(study: Study) -> list[tuple[object, ...]]:
    return [(t.params, t.state, t.value, t.intermediate_values) for t in study.trials]


def test_the_references_come_first_and_are_never_pruned(tuning: Tuning) -> None:
    first, second = tuning.study.trials[:2]
    assert first.params == tuned_values(Config())
    assert second.params["architecture_hidden"] == 512
    assert (second.params["joint_hidden"], second.params["joint_dim"]) == (99, 194)
    assert first.state == second.state == TrialState.COMPLETE
    assert len(tuning.study.trials) == tuning.finished == N_TRIALS


def test_some_trials_are_pruned_and_those_are_the_worse_ones(tuning: Tuning) -> None:
    trials = tuning.study.trials
    pruned = [t for t in trials if t.state == TrialState.PRUNED]
    assert pruned
    assert all(t.last_step is not None and t.last_step < BRIEF.outer_steps for t in pruned)
    for t in pruned:
        step, loss = t.last_step, t.intermediate_values[t.last_step or 0]
        assert any(other.intermediate_values.get(step, np.inf) < loss for other in trials)


def test_a_value_is_the_lowest_loss_of_meta_training_with_that_config(
    tuning: Tuning, history: MetaDataset
) -> None:
    """Whoever meta-trains with a trial's config, budget and seed sees its value."""
    for trial in (tuning.study.trials[0], tuning.study.best_trial):
        config = suggest(trial, BRIEF)
        losses = meta_train(history, config=config, seed=3).provenance["losses"]
        assert trial.value == pytest.approx(losses["held out"])
        reported = list(trial.intermediate_values.values())
        assert reported == sorted(reported, reverse=True)
        assert reported[-1] == trial.value


def test_all_trials_are_compared_on_the_same_tasks(
    history: MetaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def split(*arguments: object) -> object:
        train, watched = real(*arguments)  # type: ignore[arg-type]
        seen.append(tuple(p.task.name for p in watched))
        return train, watched

    real = training.hold_out
    monkeypatch.setattr(training, "hold_out", split)
    Tuning(history, optuna.storages.InMemoryStorage(), base=BRIEF).run(4)
    assert len(seen) == 4
    assert len(set(seen)) == 1
    assert len(seen[0]) == 2


def test_the_best_is_kept_with_the_default_budget(tuning: Tuning) -> None:
    best = tuning.best()
    assert best is not None
    assert tuned_values(best) == tuning.study.best_params
    assert best == suggest(
        tuning.study.best_trial, replace(BRIEF, outer_steps=200, held_out=Config().held_out)
    )


def test_rows_and_table_compare_the_best_with_the_references(tuning: Tuning) -> None:
    rows = tuning.rows()
    assert [row.name for row in rows] == ["default", "paper", "best"]
    assert [row.loss for row in rows[:2]] == [t.value for t in tuning.study.trials[:2]]
    assert rows[2].loss == min(row.loss for row in rows) == tuning.study.best_value
    text = table(rows)
    assert all(f"{row.loss:.3f}" in text for row in rows)
    assert all(name in text for name in tuning.study.best_params)


def test_same_seed_same_trials(tuning: Tuning, history: MetaDataset) -> None:
    again, other = (
        Tuning(history, optuna.storages.InMemoryStorage(), seed=seed, base=BRIEF)
        for seed in (3, 4)
    )
    again.run(N_TRIALS)
    other.run(3)
    assert outcomes(again.study) == outcomes(tuning.study)
    assert other.study.trials[2].params != again.study.trials[2].params


def test_runs_in_parts_give_the_trials_of_one_run(tuning: Tuning, history: MetaDataset) -> None:
    storage = optuna.storages.InMemoryStorage()
    for n in (1, 4, 4, N_TRIALS):
        Tuning(history, storage, seed=3, base=BRIEF).run(n)
    parts = Tuning(history, storage, seed=3, base=BRIEF)
    assert outcomes(parts.study) == outcomes(tuning.study)


def test_killed_and_interrupted_trials_do_not_count(history: MetaDataset) -> None:
    """The default's is cut short twice; it is done all the same, and so are the others."""
    storage = optuna.storages.InMemoryStorage()
    tuning = Tuning(history, storage, base=BRIEF)
    tuning.run(0)
    tuning.study.ask()  # and the process is gone
    tuning.run(0)
    tuning.study.tell(tuning.study.ask(), state=TrialState.FAIL)
    assert tuning.best() is None
    again = Tuning(history, storage, base=BRIEF)
    again.run(4)
    assert again.finished == 4
    assert {row.name for row in again.rows()} == {"default", "paper", "best"}


@pytest.mark.parametrize("changed", ["history", "seed", "base"])
def test_another_tuning_is_not_mixed_in(
    tuning: Tuning, history: MetaDataset, storage: str, changed: str
) -> None:
    mine = {"history": history, "seed": 3, "base": BRIEF}
    others = {"history": history.without("task 0"), "seed": 4, "base": Config()}
    with pytest.raises(StudyError, match=rf"another {changed}, .*another --storage"):
        Tuning(storage=storage, **{**mine, changed: others[changed]})  # type: ignore[arg-type]
    assert Tuning(storage=storage, **mine).finished == N_TRIALS  # type: ignore[arg-type]


def test_rates_that_diverge_are_pruned(
    history: MetaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN weights after the references: the run goes on."""
    tuning = Tuning(history, optuna.storages.InMemoryStorage(), base=BRIEF)
    tuning.run(2)
    real = training.inner_step

    def diverging(surrogate: MetaSurrogate, *rest: object) -> float:
        loss = real(surrogate, *rest)  # type: ignore[arg-type]
        for p in surrogate.network.parameters():
            p.detach().fill_(float("nan"))
        return loss

    monkeypatch.setattr(training, "inner_step", diverging)
    tuning.run(3)
    assert tuning.study.trials[2].state == TrialState.PRUNED
    assert tuning.finished == 3


@pytest.mark.parametrize("heads", [1, 3, 4])
def test_every_suggestion_is_a_config(heads: int) -> None:
    base = replace(Config(), dataset_heads=heads, dataset_width=6 * heads)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask()
        config = suggest(trial, base)  # the config itself refuses what is not possible
        assert tuned_values(config) == trial.params
        assert suggest(FixedTrial(trial.params), base) == config


def test_the_references_lie_in_the_space(recwarn: pytest.WarningsRecorder) -> None:
    for name in ("default", "paper"):
        values = tuned_values(Config.preset(name))
        assert tuned_values(suggest(FixedTrial(values), Config())) == values
    assert not [w for w in recwarn if "out of" in str(w.message)]


def test_without_enough_tasks_trials_are_held_out(history: MetaDataset, tmp_path: Path) -> None:
    few = history.without("task 0", "task 1")
    tuning = Tuning(few, f"sqlite:///{tmp_path}/tune.db", base=BRIEF)
    tuning.run(3)
    assert tuning.finished == 3
