"""optuna-dashboard, really served, seen by a really running headless browser."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import shutil
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import optuna
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas.demo import dashboard
from optuna_tnas.demo import demo
from optuna_tnas.demo.cell_training import Recipe


pytest.importorskip("optuna_dashboard")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


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


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the demo leaves behind: cells really trained, if briefly and without meta-training."""
    monkeypatch.setattr(demo, "meta_train", lambda history, **_: MetaSurrogate(history.space))
    url = f"sqlite:///{tmp_path}/demo.db"
    recipe = Recipe(epochs=1, max_images=256, resolution=8)
    demo.Demo(url, n_trials=3, n_seeds=1, seed=0, recipe=recipe).run()
    return url


@pytest.fixture
def server(storage: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), storage]
    options = ["--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        assert process.poll() is None, "optuna-dashboard ended"
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("optuna-dashboard does not answer")


def _get(url: str) -> dict[str, object]:
    with urlopen(url) as response:
        content: dict[str, object] = json.load(response)
    return content


def test_the_dashboard_serves_the_demos_trials_note_and_figure(server: str, storage: str) -> None:
    studies = _get(f"{server}/api/studies")["study_summaries"]
    numbers = {s["study_name"]: s["study_id"] for s in studies}  # type: ignore[attr-defined]
    detail = _get(f"{server}/api/studies/{numbers['digits-tnas-0']}?after=0")
    study = optuna.load_study(study_name="digits-tnas-0", storage=storage)
    assert [t["values"] for t in detail["trials"]] == [t.values for t in study.trials]  # type: ignore[attr-defined]
    assert f"{study.best_value:.4f}" in detail["note"]["body"]  # type: ignore[index]
    assert detail["plotly_graph_objects"][0]["id"] == "incumbents"  # type: ignore[index]


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome on the PATH")
def test_a_browser_shows_the_study_its_note_and_its_figure(server: str, tmp_path: Path) -> None:
    numbers = {
        s["study_name"]: s["study_id"]
        for s in _get(f"{server}/api/studies")["study_summaries"]  # type: ignore[attr-defined]
    }
    assert "digits-tnas-0" in _rendered(f"{server}/dashboard", tmp_path)
    page = _rendered(f"{server}/dashboard/studies/{numbers['digits-tnas-0']}", tmp_path)
    assert "digits-tnas-0" in page
    assert "Best value so far" in page


def _rendered(url: str, folder: Path) -> str:
    """The page's DOM after its scripts have run."""
    assert BROWSER is not None
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,2400",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    command = [BROWSER, *options, f"--user-data-dir={folder}/browser", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout
