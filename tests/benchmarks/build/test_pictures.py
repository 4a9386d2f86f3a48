"""The pictures of docs/seeing_it.md."""

from __future__ import annotations

from pathlib import Path
import re

import pytest

from optuna_tnas import Config
from optuna_tnas.demo.shipped_history import shipped_history


pytest.importorskip("optuna_dashboard")
pictures = pytest.importorskip("benchmarks.build.pictures")

PAGE = Path(__file__).parents[3] / "docs" / "seeing_it.md"


def named() -> set[str]:
    return set(re.findall(r"seeing_\w+\.png", PAGE.read_text(encoding="utf-8")))


def test_the_pages_pictures_are_there_and_small() -> None:
    sizes = {path.name: path.stat().st_size for path in pictures.RESULTS.glob("seeing_*.png")}
    assert set(sizes) == named()
    assert sum(sizes.values()) < 300_000


def test_every_plot_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = shipped_history()
    few = [task.name for task in history.tasks[3:]]
    monkeypatch.setattr(pictures, "shipped_history", lambda: history.without(*few))
    monkeypatch.setattr(Config, "preset", lambda name: Config(outer_steps=2))
    target = history.tasks[0].name
    sampler, study = pictures.search(target, 6, tmp_path)
    assert len(study.trials) == 6 and target not in sampler.surrogate.past_names
    pictures.draw(sampler, study, tmp_path)
    drawn = {path.name for path in tmp_path.glob("seeing_*.png")}
    assert drawn == named() - {"seeing_dashboard.png"}
