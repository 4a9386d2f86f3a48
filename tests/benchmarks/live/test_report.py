from __future__ import annotations

from collections.abc import Sequence
import json
import lzma
from pathlib import Path

import pytest

from benchmarks.live import report
from benchmarks.live.experiment import ANEW
from benchmarks.live.report import Curve
from benchmarks.live.report import Results
from benchmarks.live.store import Record
from benchmarks.live.supernet import Cell
from benchmarks.live.trainings import pruned


def cell(*ops: str) -> Cell:
    return pruned((*ops, *(6 - len(ops)) * ("skip_connect",)))


A, B, C, D = (cell(op) for op in ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "none"))
NO_PATH: Cell = 6 * ("none",)
LOSSES = {A: 0.2, B: 0.4, C: 0.6, D: 1.0, NO_PATH: 2.0}


def training(dataset: str, of: Cell, seed: int) -> Record:
    loss = LOSSES[of] + (0.1 * (seed - 1001) if seed in ANEW else 0)  # the mean stays
    return {
        "kind": "training",
        "dataset": dataset,
        "cell": list(of),
        "seed": seed,
        "validation_loss": loss,
        "test_loss": loss,
        "test_accuracy": 1 - loss / 4,
        "cpu_seconds": 2.0,
    }


def search(dataset: str, method: str, steps: Sequence[tuple[Cell, float, float]]) -> Record:
    """Of cells, validation losses and CPU seconds."""
    return {
        "kind": "search",
        "dataset": dataset,
        "method": method,
        "seed": 0,
        "unit": 2.0,
        "meta_cpu_seconds": 30.0 if method == "tnas" else 0.0,
        "steps": [
            {
                "cell": list(c),
                "recommended": list(steps[0][0]),
                "validation_loss": loss,
                "cpu_seconds": s,
            }
            for c, loss, s in steps
        ],
    }


def one_shot(dataset: str, method: str, epochs: int, cells: Sequence[Cell]) -> Record:
    return {
        "kind": "search",
        "dataset": dataset,
        "method": method,
        "seed": 0,
        "unit": 2.0,
        "epochs": epochs,
        "cells": [list(c) for c in cells],
        "cpu_seconds": [18.0, 19.0],
        "wall_seconds": 20.0,
        "alpha": [],
    }


def records(dataset: str) -> list[Record]:
    random = [(D, 0.9, 2.0), (C, 0.6, 8.0), (B, 0.5, 30.0)]
    ours = [(C, 0.7, 4.0), (B, 0.5, 6.0), (A, 0.6, 12.0), (A, 0.3, 50.0)]
    return [
        *(training(dataset, c, s) for c in LOSSES for s in (0, *ANEW)),
        search(dataset, "random", random),
        search(dataset, "tnas", ours),
        one_shot(dataset, "gdas", 21, [B, NO_PATH]),
        one_shot(dataset, "gdas", 100, [D, D]),  # of the published length
    ]


@pytest.fixture
def results() -> Results:
    return Results([*records("one"), *records("two")])


def test_the_best_validation_loss_of_those_in_time_counts():
    curve = Curve(search("one", "tnas", [(C, 0.7, 4.0), (B, 0.5, 6.0), (A, 0.3, 50.0)]))
    assert [curve.at(budget).cell for budget in (1, 2, 3, 24, 25)] == [C, C, B, B, A]
    assert (curve.at(24).units, curve.at(24).found, curve.at(24).n_cells) == (3, 3, 2)
    assert curve.changes() == [(2, C), (3, B), (25, A)]


def test_regret_compares_with_the_best_of_all_and_the_median_random_cell(results):
    assert [results.regret("one", c) for c in (A, C, D)] == pytest.approx([0, 1, 2])
    assert results.accuracy("one", B) == pytest.approx(0.9)


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
    assert "gdas" not in report.methods_at(results, 50)


def test_the_runtime_is_until_ours_is_as_good(results):
    (row,) = [row for row in report.runtime(results) if row.startswith("| gdas |")]
    assert [c.strip() for c in row.split("|")[2:5]] == ["10", f"{3 / 9:.2f}", "0 of 2"]


def test_ranks_share_ties(results):
    rows = [row.split("|") for row in report.consistency(results)[2:]]
    ranks = {row[1].strip(): row[2].strip() for row in rows}
    # at 10 units: ours and gdas have the same cell, random another
    assert ranks["tnas"] == ranks["gdas"] == "1.50"
    assert ranks["random"] == "3.00"


def test_pairs_without_a_method_do_not_count():
    found = [*records("one"), *(r for r in records("two") if r.get("method") != "tnas")]
    assert Results(found).pairs == [("one", 0)]
    missing = [r for r in records("one") if (r.get("cell"), r["seed"]) != (list(B), ANEW[0])]
    assert Results(missing).pairs == []
    with pytest.raises(SystemExit, match="no image set"):
        report.report(Results(missing))


def test_packed_records_are_reported(tmp_path: Path, monkeypatch, capsys):
    path = tmp_path / "live.jsonl.xz"
    with lzma.open(path, "wt") as file:
        file.writelines(json.dumps(r) + "\n" for r in records("one"))
    monkeypatch.setattr("sys.argv", ["report", str(path)])
    report.main()
    printed = capsys.readouterr().out
    assert "one 1" in printed
    assert "## 50 units" in printed
    assert "| tnas | 30 | 15 |" in printed
