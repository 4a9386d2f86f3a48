"""optuna-dashboard, really served, seen by a really running headless browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas.demo import dashboard
from optuna_tnas.demo import demo
from optuna_tnas.demo.cell_training import Recipe
from tests.browser import BROWSER
from tests.browser import fetched
from tests.browser import rendered
from tests.browser import serve


pytest.importorskip("optuna_dashboard")


def _study(storage: str, name: str, values: list[float], direction: str) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    for value in values:
        study.add_trial(optuna.create_trial(value=value))
    return study


def test_incumbents_follow_the_direction() -> None:
    values = [0.5, 0.7, 0.3, 0.4]
    low = _study("sqlite://", "low", values, "minimize")
    high = _study("sqlite://", "high", values, "maximize")
    assert dashboard.incumbents(low) == [0.5, 0.5, 0.3, 0.3]
    assert dashboard.incumbents(high) == [0.5, 0.7, 0.7, 0.7]
    assert dashboard.incumbents(_study("sqlite://", "new", [], "minimize")) == []


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the demo leaves behind: cells really trained, if briefly and without meta-training."""
    url = f"sqlite:///{tmp_path_factory.mktemp('demo')}/demo.db"
    recipe = Recipe(epochs=1, max_images=256, resolution=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "meta_train", lambda history, **_: MetaSurrogate(history.space))
        demo.Demo(url, n_trials=3, n_seeds=1, seed=0, recipe=recipe).run()
    return url


@pytest.fixture(scope="module")
def server(storage: str) -> Iterator[str]:
    with serve(storage) as url:
        yield url


def test_the_dashboard_serves_the_demos_trials_note_and_figure(server: str, storage: str) -> None:
    studies = fetched(f"{server}/api/studies")["study_summaries"]
    numbers = {s["study_name"]: s["study_id"] for s in studies}  # type: ignore[attr-defined]
    detail = fetched(f"{server}/api/studies/{numbers['digits-tnas-0']}?after=0")
    study = optuna.load_study(study_name="digits-tnas-0", storage=storage)
    assert [t["values"] for t in detail["trials"]] == [t.values for t in study.trials]  # type: ignore[attr-defined]
    assert f"{study.best_value:.4f}" in detail["note"]["body"]  # type: ignore[index]
    assert detail["plotly_graph_objects"][0]["id"] == "incumbents"  # type: ignore[index]


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome on the PATH")
def test_a_browser_shows_the_study_its_note_and_its_figure(server: str, tmp_path: Path) -> None:
    numbers = {
        s["study_name"]: s["study_id"]
        for s in fetched(f"{server}/api/studies")["study_summaries"]  # type: ignore[attr-defined]
    }
    assert "digits-tnas-0" in rendered(f"{server}/dashboard", tmp_path)
    page = rendered(f"{server}/dashboard/studies/{numbers['digits-tnas-0']}", tmp_path)
    assert "digits-tnas-0" in page
    assert "Best value so far" in page
