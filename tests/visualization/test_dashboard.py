"""A study's page in optuna-dashboard: renewed by one worker or eight, seen in a browser."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import json
import logging
from pathlib import Path
import pickle
import subprocess
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts import get_all_artifact_meta
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import Trial
import pytest

from optuna_tnas import OptunaTNASError
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space
from optuna_tnas.visualization import DashboardCallback
from tests.browser import BROWSER
from tests.browser import fetched
from tests.browser import rendered
from tests.browser import serve
from tests.visualization.conftest import objective_of


optuna_dashboard = pytest.importorskip("optuna_dashboard")
pytest.importorskip("plotly")


@pytest.fixture
def store(tmp_path: Path) -> FileSystemArtifactStore:
    (tmp_path / "drawings").mkdir()
    return FileSystemArtifactStore(tmp_path / "drawings")


def figures_of(study: Study) -> dict[str, Any]:
    """The figures as the dashboard reads them."""
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    attributes = study._storage.get_study_system_attrs(study._study_id)
    return {name: json.loads(text) for name, text in get_plotly_graph_objects(attributes).items()}


def drawings_of(study: Study) -> list[str]:
    return sorted(meta.filename for meta in get_all_artifact_meta(study))


def records(study: Study) -> list[str]:
    """Names of the drawings of trials that were better than all before."""
    best, found = float("-inf"), []
    for trial in study.trials:
        assert trial.value is not None
        if trial.value > best:
            best = trial.value
            found.append(f"best-of-trial-{trial.number}.png")
    return sorted(found)


# --- one worker -----------------------------------------------------------------------------


@pytest.fixture
def searched(
    tmp_path: Path, sampler: TNASSampler, cells: Space, store: FileSystemArtifactStore
) -> Study:
    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/s.db",
        study_name="cells",
        sampler=sampler,
        direction="maximize",
    )
    callback = DashboardCallback(sampler, store, every=4)
    study.optimize(objective_of(cells), n_trials=8, callbacks=[callback])
    return study


def test_note_figures_and_drawings_are_there(searched: Study) -> None:
    assert set(figures_of(searched)) == {
        "tnas-best",
        "tnas-prediction",
        "tnas-operations",
        "tnas-sources",
    }
    assert drawings_of(searched) == records(searched)
    note = optuna_dashboard.get_note(searched)
    assert f"trial {searched.best_trial.number}" in note
    assert searched.best_trial.user_attrs["tnas:reason"] in note
    assert "digits" in note and "the past says nothing" in note


def test_they_are_renewed_every_so_many_trials(
    sampler: TNASSampler, cells: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[int] = []
    renew = DashboardCallback.renew

    def counted(self: DashboardCallback, study: Study) -> None:
        renewed.append(len(study.trials))
        renew(self, study)

    monkeypatch.setattr(DashboardCallback, "renew", counted)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    callback = pickle.loads(pickle.dumps(DashboardCallback(sampler, every=3)))
    study.optimize(objective_of(cells), n_trials=7, callbacks=[callback])
    assert renewed == [3, 6]
    assert drawings_of(study) == []  # without a store


def test_a_users_note_is_kept(searched: Study, sampler: TNASSampler) -> None:
    optuna_dashboard.save_note(
        searched, "Third attempt.\n\n" + optuna_dashboard.get_note(searched)
    )
    for _ in range(2):
        DashboardCallback(sampler).renew(searched)
    note = optuna_dashboard.get_note(searched)
    assert note.startswith("Third attempt.\n\n## Search with optuna-tnas")
    assert note.count("## Search") == 1


def test_what_is_infeasible_is_not_drawn(
    sampler: TNASSampler, cells: Space, store: FileSystemArtifactStore
) -> None:
    def limited(trial: Trial) -> float:
        value = objective_of(cells)(trial)
        trial.set_constraint("small", 1.0 if trial.number == 0 else 0.0)
        return value if trial.number else 100.0

    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(limited, n_trials=2, callbacks=[DashboardCallback(sampler, store)])
    assert drawings_of(study) == ["best-of-trial-1.png"]


@pytest.mark.parametrize("n_trials", [0, 1])
def test_a_study_with_nothing_to_show_has_a_note(sampler: TNASSampler, n_trials: int) -> None:
    study = optuna.create_study(sampler=sampler)
    for _ in range(n_trials):
        study.add_trial(create_trial(value=1.0))
    DashboardCallback(sampler).renew(study)
    assert figures_of(study) == {}
    assert "optuna-tnas" in optuna_dashboard.get_note(study)


# --- several objectives ---------------------------------------------------------------------


def test_with_several_objectives_the_page_is_of_the_front(
    sampler: TNASSampler, cells: Space, store: FileSystemArtifactStore
) -> None:
    def objective(trial: Trial) -> tuple[float, float]:
        accuracy = objective_of(cells)(trial)
        return accuracy, (7.0 * accuracy) % 3

    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.set_metric_names(["accuracy", "latency"])
    callback = DashboardCallback(sampler, store, every=2)
    study.optimize(objective, n_trials=8, callbacks=[callback])
    front = sorted(study.best_trials, key=lambda trial: trial.values)
    note = optuna_dashboard.get_note(study)
    assert f"{len(front)} of 8 trials are on the front" in note
    numbers = [line.split("|")[1].strip() for line in note.splitlines() if line.startswith("| ")]
    assert [n for n in numbers if n.isdigit()] == [str(trial.number) for trial in front]
    assert "accuracy" in note and "latency" in note
    assert {f"front-of-trial-{t.number}.png" for t in front} <= {*drawings_of(study)}
    assert figures_of(study) == {}


def test_with_several_objectives_and_no_trial_there_is_a_note(sampler: TNASSampler) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    DashboardCallback(sampler).renew(study)
    assert "optuna-tnas" in optuna_dashboard.get_note(study)


# --- what fails -----------------------------------------------------------------------------


def test_a_search_goes_on_where_the_page_cannot_be_renewed(
    sampler: TNASSampler, cells: Space, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    callback = DashboardCallback(sampler, FileSystemArtifactStore(gone), every=1)
    gone.rmdir()
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(objective_of(cells), n_trials=2, callbacks=[callback])
    assert len(study.trials) == 2
    (message, *_) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "could not be renewed after trial 0" in message


@pytest.mark.parametrize("every", [0, -1])
def test_an_impossible_number_of_trials_is_refused(sampler: TNASSampler, every: int) -> None:
    with pytest.raises(OptunaTNASError, match=f"every cannot be {every}"):
        DashboardCallback(sampler, every=every)


def test_without_the_dashboard_the_extra_is_named(
    sampler: TNASSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optuna_tnas.visualization.dashboard._NEEDED", ("no_such_dashboard",))
    with pytest.raises(ImportError, match=r"no_such_dashboard: pip install 'optuna-tnas\[dash"):
        DashboardCallback(sampler)


# --- eight workers --------------------------------------------------------------------------


def test_eight_workers_renew_one_page_at_the_same_time(
    start_workers: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    store: FileSystemArtifactStore,
) -> None:
    """Each after each of its trials, all in step."""
    storage = JournalStorage(JournalFileBackend(f"{tmp_path}/s.log"))
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    workers = start_workers(
        location=f"journal:{tmp_path}/s.log",
        study_name="s",
        n_processes=8,
        n_trials=2,
        in_step=True,
        drawings=str(tmp_path / "drawings"),
    )
    report, errors = workers.communicate(timeout=500)
    assert json.loads(report)["exit_codes"] == [0] * 8, errors[-5000:]
    assert "could not be renewed" not in errors
    assert len(study.trials) == 16
    figures = figures_of(study)  # each is whole
    assert set(figures) == {"tnas-best", "tnas-prediction", "tnas-operations"}
    (counted,) = figures["tnas-operations"]["data"]
    assert counted["type"] == "parcoords"
    note = optuna_dashboard.get_note(study)
    assert note.count("## Search with optuna-tnas") == 1 and note.count("op_0_1") == 1
    assert f"best-of-trial-{study.best_trial.number}.png" in drawings_of(study)
    assert len(set(drawings_of(study))) == len(drawings_of(study))


# --- in a browser ---------------------------------------------------------------------------


@pytest.fixture
def server(searched: Study, tmp_path: Path) -> Iterator[str]:
    with serve(f"sqlite:///{tmp_path}/s.db", "--artifact-dir", f"{tmp_path}/drawings") as url:
        yield url


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome on the PATH")
def test_a_browser_shows_figures_note_drawings_and_reasons(
    searched: Study, server: str, tmp_path: Path
) -> None:
    (summary,) = fetched(f"{server}/api/studies")["study_summaries"]
    page = f"{server}/dashboard/studies/{summary['study_id']}"
    figures = rendered(page, tmp_path)
    best = searched.best_trial.number
    for title in ("What the past studies count", f"Best network, of trial {best}"):
        assert title in figures
    assert "Expected and measured values" in figures and "Numbers of operations" in figures
    drawing = next(
        meta.artifact_id
        for meta in get_all_artifact_meta(searched)
        if meta.filename == f"best-of-trial-{best}.png"
    )
    assert f"best-of-trial-{best}.png" in figures and drawing in figures  # as a picture
    note = rendered(f"{page}/note", tmp_path)
    assert "Search with optuna-tnas" in note and "the past says nothing" in note
    trials = rendered(f"{page}/trials", tmp_path)
    assert "tnas:reason" in trials and searched.trials[0].user_attrs["tnas:reason"] in trials
