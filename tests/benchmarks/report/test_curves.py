from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


pytest.importorskip("matplotlib")

from benchmarks.report import curves
from benchmarks.report.results import all_results


Records = list[dict[str, Any]]


def test_two_figures(many: Records, tmp_path: Path) -> None:
    curves.draw(all_results(many), "tnas", [], tmp_path)
    for name in ("regret.png", "rank.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_figures_of_several_pasts(many: Records, tmp_path: Path) -> None:
    other = [{**r, "history_by": "tpe"} for r in many]
    curves.draw(all_results([*many, *other]), "tnas", [], tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    assert "rank-history200-tpe-alltasks.png" in names
    assert len(names) == 4


def test_ours_and_the_best_are_drawn(many: Records) -> None:
    (results,) = all_results(many)
    assert curves.best(results, "tpe") == ["tpe", "tnas", "slow"]


def test_lines_and_band(many: Records) -> None:
    (results,) = all_results(many)
    lines = curves._lines(["tnas", "tpe", "none"], "tnas")
    over_all, *families = curves._figure(results, "regret", lines, "tnas").axes
    assert [a.get_title() for a in (over_all, *families)] == [
        "over all families, 3 tasks",
        "S, 2 tasks",
        "V, 1 task",
    ]
    drawn = {str(line.get_label()): line.get_ydata() for line in over_all.lines}
    assert set(drawn) == {"tnas", "tpe"}
    mean = results.mean(results.regret)[results.methods.index("tnas")]
    np.testing.assert_allclose(drawn["tnas"], mean)
    (band,) = over_all.collections
    low, high = band.get_datalim(over_all.transData).intervaly
    assert low < mean.min() and high > mean.max()


def test_lines_differ_without_color() -> None:
    styles = {(str(s["linestyle"]), s["marker"]) for s in curves.RIVALS}
    assert len(styles) == len(curves.RIVALS) == curves.MOST - 1
