from __future__ import annotations

from dataclasses import replace
import os
from pathlib import Path
from typing import Any

import numpy as np
from optuna.study import Study
import pytest

from benchmarks import past_settings
from benchmarks import tasks
from benchmarks.past_settings import past_studies
from benchmarks.past_settings import PastSetting
from benchmarks.tasks import Archive
from benchmarks.tasks import Family
from benchmarks.tasks import TableError
from benchmarks.tasks import TableTask
from optuna_tnas.spaces import CellSpace
from tests.benchmarks.joint_family import joint_family


SPACE = CellSpace.on_edges(3, ["none", "skip", "conv", "pool"], zero=["none"])
needs_tables = pytest.mark.skipif(
    not os.environ.get("OPTUNA_TNAS_DATA"), reason="OPTUNA_TNAS_DATA is not set"
)


class Sealed:
    """A task that must not be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"looked at the target's {name}")


def family(n_past: int = 2) -> Family:
    """64 cells on made-up data sets, and a target that must not be looked at."""
    past = {f"past_{i}": _task(i) for i in range(n_past)}
    return Family(SPACE, {"target": Sealed(), **past})


def _task(seed: int) -> TableTask:
    value = np.random.default_rng(seed).normal(80, 5, size=SPACE.size)
    return TableTask(np.arange(SPACE.size).reshape(4, 4, 4), value, value)


def rows(study: Study) -> list[tuple[int, ...]]:
    return [tuple(SPACE.encode(trial.params).tolist()) for trial in study.trials]


def values(study: Study) -> list[float]:
    return [trial.value for trial in study.trials]


def contents(studies: tuple[Study, ...]) -> list[Any]:
    return [(study.study_name, rows(study), values(study)) for study in studies]


def assert_looked_up(study: Study, task: TableTask) -> None:
    assert values(study) == [task.evaluate(np.array(row)).value for row in rows(study)]


# --- random trials --------------------------------------------------------------------------


def test_history_is_the_other_tasks(tmp_path: Path) -> None:
    studies = past_studies(family(), "target", PastSetting(30), 0, tmp_path)
    assert [study.study_name for study in studies] == ["past_0", "past_1"]
    for study in studies:
        assert len(set(rows(study))) == len(study.trials) == 30
        assert_looked_up(study, family().tasks[study.study_name])


def test_history_depends_on_the_seed_alone(tmp_path: Path) -> None:
    first, again, other = (
        [rows(s) for s in past_studies(family(), "target", PastSetting(10), seed, tmp_path)]
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert first[0] != first[1]


def test_history_larger_than_the_space(tmp_path: Path) -> None:
    assert len(past_studies(family(), "target", PastSetting(64), 0, tmp_path)[0].trials) == 64
    with pytest.raises(ValueError, match="65 different architectures from a space of 64"):
        past_studies(family(), "target", PastSetting(65), 0, tmp_path)


def test_fewer_past_tasks(tmp_path: Path) -> None:
    """They keep their trials, a larger number includes a smaller, another seed has others."""
    everything = contents(past_studies(family(6), "target", PastSetting(5), 0, tmp_path))
    for n in (1, 2, 5):
        some = contents(past_studies(family(6), "target", PastSetting(5, tasks=n), 0, tmp_path))
        more = contents(
            past_studies(family(6), "target", PastSetting(5, tasks=n + 1), 0, tmp_path)
        )
        assert len(some) == n
        assert [study for study in more if study in some] == some
        assert [study for study in everything if study in more] == more
    chosen = {
        past_studies(family(6), "target", PastSetting(5, tasks=1), seed, tmp_path)[0].study_name
        for seed in range(20)
    }
    assert len(chosen) > 3
    assert len(past_studies(family(), "target", PastSetting(5, tasks=9), 0, tmp_path)) == 2


# --- TPE's trials ---------------------------------------------------------------------------


def test_history_by_tpe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = PastSetting(40, by="tpe")
    studies = past_studies(family(), "target", past, 0, tmp_path)
    for study in studies:
        task = family().tasks[study.study_name]
        assert len(study.trials) == 40
        assert_looked_up(study, task)
        assert len(set(rows(study))) < 40  # it repeats itself
        assert np.mean(values(study)[20:]) > task.true_median
    monkeypatch.setattr(past_settings, "TPESampler", lambda **_: pytest.fail("searched again"))
    assert contents(past_studies(family(), "target", past, 0, tmp_path)) == contents(studies)


def test_seeds_and_lengths_are_kept_apart(tmp_path: Path) -> None:
    def study(n: int, seed: int) -> Study:
        return past_studies(family(), "target", PastSetting(n, by="tpe"), seed, tmp_path)[0]

    assert rows(study(12, 0))[:8] == rows(study(8, 0)) != rows(study(8, 1))


# --- archives -------------------------------------------------------------------------------


def with_archive() -> Family:
    archive = Archive(SPACE.enumerate()[:20], np.arange(20.0))
    return Family(SPACE, {"target": Sealed()}, {"archive": archive})


def test_archive_as_history(tmp_path: Path) -> None:
    (some,) = past_studies(with_archive(), "target", PastSetting(8), 0, tmp_path)
    (other,) = past_studies(with_archive(), "target", PastSetting(8), 1, tmp_path)
    (everything,) = past_studies(with_archive(), "target", PastSetting(200), 0, tmp_path)
    assert len(set(rows(some))) == 8
    assert set(rows(some)) != set(rows(other))
    line = {tuple(row): i for i, row in enumerate(SPACE.enumerate()[:20].tolist())}
    for study in (some, other, everything):
        assert values(study) == [line[row] for row in rows(study)]
    assert set(rows(everything)) == line.keys()


def test_archives_cannot_be_searched_on(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="archive are archives, on which TPE cannot search"):
        past_studies(with_archive(), "target", PastSetting(8, by="tpe"), 0, tmp_path)


# --- hostile histories ----------------------------------------------------------------------


@pytest.mark.parametrize("by", past_settings.BY)
@pytest.mark.parametrize("spoil", ["shuffled", "negated", "constant"])
def test_spoiled_values(spoil: str, by: str, tmp_path: Path) -> None:
    clean = past_studies(family(), "target", PastSetting(30, by), 0, tmp_path)
    spoiled = past_studies(family(), "target", PastSetting(30, by, spoil=spoil), 0, tmp_path)
    for study, as_it_was in zip(spoiled, clean, strict=True):
        got, truth = np.array(values(study)), np.array(values(as_it_was))
        assert rows(study) == rows(as_it_was)
        assert (got != truth).any()
        if spoil == "shuffled":
            assert sorted(got) == sorted(truth)
            assert abs(np.corrcoef(got, truth)[0, 1]) < 0.7
        elif spoil == "negated":
            assert (got == -truth).all()
        else:
            assert set(got) == {np.median(truth)}


def test_short_history(tmp_path: Path) -> None:
    past = PastSetting(200, tasks=3, spoil="short")
    (study,) = past_studies(family(), "target", past, 0, tmp_path)
    assert len(study.trials) == 5
    assert past == PastSetting(5, tasks=1, spoil="short")


def test_pasts_have_different_folders() -> None:
    pasts = [
        PastSetting(),
        PastSetting(10),
        PastSetting(by="tpe"),
        PastSetting(tasks=2),
        PastSetting(spoil="negated"),
    ]
    assert len({str(past) for past in pasts}) == len(pasts)


REAL = [PastSetting(50), PastSetting(20, "tpe"), PastSetting(50, spoil="shuffled")]


# --- honesty --------------------------------------------------------------------------------


@needs_tables
@pytest.mark.parametrize(
    "past", [PastSetting(50), PastSetting(20, "tpe"), PastSetting(50, spoil="shuffled")], ids=str
)
def test_real_history_without_the_target(past: PastSetting, tmp_path: Path) -> None:
    """The target's table is not even there, and no study has all its values from it."""
    full = tasks.load("nasbench201x5")
    for target, task in full.tasks.items():
        sealed = Family(full.space, {**full.tasks, target: Sealed()})
        studies = past_studies(sealed, target, past, 3, tmp_path)
        assert {study.study_name for study in studies} == set(full.tasks) - {target}
        for study in studies:
            trials = [(full.space.encode(t.params), t.value) for t in study.trials]
            assert not all(task.evaluate(row).value == value for row, value in trials)


# --- hyper-parameters -----------------------------------------------------------------------


def joint_past(past: PastSetting, folder: Path, seed: int = 0) -> tuple[Study, ...]:
    """Studies of a family with hyper-parameters, whose target must not be looked at."""
    whole = joint_family()
    sealed = replace(whole, tasks={**whole.tasks, "target": Sealed()})
    return past_studies(sealed, "target", past, seed, folder)


@pytest.mark.parametrize("by", past_settings.BY)
def test_past_trials_have_all_parameters(by: str, tmp_path: Path) -> None:
    whole = joint_family()
    studies = joint_past(PastSetting(30, by), tmp_path)
    assert [study.study_name for study in studies] == ["past_0", "past_1"]
    for study in studies:
        assert len(study.trials) == 30
        for trial in study.trials:
            assert trial.distributions == whole.distributions()
            found = whole.tasks[study.study_name].evaluate(whole.encode(trial.params))
            assert trial.value == found.value
    shown = [[t.params for t in study.trials] for study in studies]
    assert shown[0] != shown[1]
    again = joint_past(PastSetting(30, by), tmp_path)
    assert [[t.params for t in study.trials] for study in again] == shown
    other = joint_past(PastSetting(30, by), tmp_path, seed=1)
    assert [[t.params for t in study.trials] for study in other] != shown


def test_past_numbers_are_drawn_from_the_whole_range(tmp_path: Path) -> None:
    """Not from the grid, and uniform in logarithms where the distribution is."""
    study = joint_past(PastSetting(400), tmp_path)[0]
    places = np.log10([t.params["lr"] for t in study.trials])
    assert len(set(places)) == 400
    np.testing.assert_allclose(
        np.quantile(places, [0.25, 0.5, 0.75]), [-3.25, -2.5, -1.75], atol=0.25
    )


def test_spoiled_values_with_hyperparameters(tmp_path: Path) -> None:
    clean = joint_past(PastSetting(30), tmp_path)
    negated = joint_past(PastSetting(30, spoil="negated"), tmp_path)
    for study, as_it_was in zip(negated, clean, strict=True):
        assert values(study) == [-value for value in values(as_it_was)]
        assert [t.params for t in study.trials] == [t.params for t in as_it_was.trials]
