from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from benchmarks.live import figures
from benchmarks.live import report
from benchmarks.live.results import Results
from tests.benchmarks.live.by_hand import A
from tests.benchmarks.live.by_hand import B
from tests.benchmarks.live.by_hand import C
from tests.benchmarks.live.by_hand import LOSSES
from tests.benchmarks.live.by_hand import records


@pytest.fixture
def results() -> Results:
    return Results([*records("one"), *records("two")])


def test_a_table_has_each_method_at_its_budgets(results):
    rows = {r.split("|")[1].strip(): r.split("|")[2:-1] for r in report.at_budget(results, 10)}
    assert {"**tnas**", "tnas:recommended", "random", "gdas", "gdas:no_none"} < set(rows)
    figures = {name: [c.strip() for c in cells] for name, cells in rows.items()}
    assert figures["**tnas**"][:3] == ["0.500", "", "90.00 ± 0.00"]
    assert figures["random"][:2] == ["1.000", "-0.500 [-0.500, -0.500]"]
    assert figures["tnas:recommended"][0] == "1.000"  # the first one, always
    assert figures["gdas"][3:6] == ["9.0", "18", "1.0"]
    assert figures["gdas"][6] == "0%"
    assert figures["gdas:no_none"][6] == "100%"
    assert "gdas" not in results.methods_at(50)


def test_the_runtime_is_until_ours_is_as_good(results):
    (row,) = [row for row in report.runtime(results) if row.startswith("| gdas |")]
    assert [c.strip() for c in row.split("|")[2:5]] == ["10", f"{3 / 9:.2f}", "0 of 2"]


def test_ranks_share_ties(results):
    rows = [row.split("|") for row in report.consistency(results)[2:]]
    ranks = {row[1].strip(): row[2].strip() for row in rows}
    # at 10 units: ours and gdas have the same cell, random another
    assert ranks["tnas"] == ranks["gdas"] == "1.50"
    assert ranks["random"] == "3.00"


def test_no_pair_ends_the_report_with_the_reason():
    with pytest.raises(SystemExit, match="no image set"):
        report.report(Results([r for r in records("one") if r["kind"] == "search"]))


def test_packed_records_are_reported(tmp_path: Path, monkeypatch, capsys):
    path = tmp_path / "live.jsonl.xz"
    with lzma.open(path, "wt") as file:
        file.writelines(json.dumps(r) + "\n" for r in records("one"))
    monkeypatch.setattr("sys.argv", ["report", str(path), "--figures", str(tmp_path)])
    report.main()
    printed = capsys.readouterr().out
    assert "one 1" in printed
    assert "## 50 units" in printed
    assert "| tnas | 30 | 15 |" in printed
    assert (tmp_path / "live_loss.png").stat().st_size > 10_000
    assert (tmp_path / "live_rank.png").stat().st_size > 5_000


def test_methods_that_are_not_wanted_take_no_pair_away():
    found = [*records("one"), *(r for r in records("two") if r.get("method") != "gdas")]
    assert len(Results(found).pairs) == 1
    kept = report.of_methods(found, "tnas")
    assert len(Results(kept).pairs) == 2
    assert {r["method"] for r in kept if r["kind"] == "search"} == {"tnas", "random"}


def test_losses_are_those_of_the_cells_trained_anew(results):
    axis = figures.losses(results).axes[0]
    drawn = {str(line.get_label()): line for line in axis.lines}
    assert set(drawn) == {"tnas", "random"}  # at the last budget
    losses = drawn["tnas"].get_ydata()
    times = drawn["tnas"].get_xdata()
    assert losses[times < 2.9] == pytest.approx(LOSSES[C])
    assert losses[(times > 3.1) & (times < 24)] == pytest.approx(LOSSES[B])
    assert losses[times > 25.1] == pytest.approx(LOSSES[A])
