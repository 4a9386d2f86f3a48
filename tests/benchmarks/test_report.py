from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

import numpy as np
import pytest

from benchmarks import report as module
from benchmarks.report import evaluations_needed
from benchmarks.report import quartiles
from benchmarks.report import repeats
from benchmarks.report import report


def search(method: str, seed: int, values: list[float], regrets: list[float]) -> list[Any]:
    common = {"space": "S", "target": "T", "history": 200, "method": method, "seed": seed}
    bests = np.maximum.accumulate(values)
    return [
        {
            **common,
            "trial": trial,
            "network": int(value * 10),
            "value": value,
            "best_value": float(best),
            "optimum": 90.0,
            "best_true": 0.0,
            "regret": regret,
            "seconds": 0.25,
        }
        for trial, (value, best, regret) in enumerate(zip(values, bests, regrets, strict=True))
    ]


A0 = search("a", 0, [80, 89.9, 70, 70, 70], [1.0, 0.2, 0.2, 0.2, 0.1])
A1 = search("a", 1, [80, 80, 80, 90, 70], [2.0, 0.4, 0.4, 0.4, 0.3])
B0 = search("b", 0, [80, 89.8, 80, 81, 82], [3.0] * 5)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_evaluations_needed() -> None:
    assert [evaluations_needed(s) for s in (A0, A1, B0)] == [2, 4, np.inf]


def test_quartiles() -> None:
    assert quartiles([1, 2, 3, 4, 5]) == (2, 3, 4)
    assert quartiles([1, 2, 3, np.inf, np.inf]) == (2, 3, np.inf)
    assert quartiles([1, np.inf]) == (np.inf, np.inf, np.inf)
    assert quartiles([np.inf]) == (np.inf, np.inf, np.inf)


def test_repeats() -> None:
    assert [repeats(s) for s in (A0, A1, B0)] == [2, 2, 1]


def test_tables() -> None:
    lines = list(report([*B0, *A1[::-1], *A0]))
    assert lines[0].startswith("## S T, 200 past trials")
    rows = [cells(line) for line in lines if line.startswith("|")]
    assert rows[0] == ["method", "seeds", "1", "5"]
    assert ["a", "2", "1.5000 ± 0.5000", "0.2000 ± 0.1000"] in rows
    assert ["b", "1", "3.0000 ± 0.0000", "3.0000 ± 0.0000"] in rows
    assert ["a", "3 (2.5 to 3.5)", "2/2", "89.950", "0.2500", "2.0"] in rows
    assert ["b", "inf (inf to inf)", "0/1", "89.800", "0.2500", "1.0"] in rows
    assert any("90.00: median" in line for line in lines)


def test_a_group_for_each_target_and_history() -> None:
    other = [{**r, "history": 50} for r in A0]
    third = [{**r, "target": "U"} for r in A0]
    heads = [line for line in report([*A0, *other, *third]) if line.startswith("##")]
    assert len(heads) == 3


def test_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for file, records in zip(files, (A0, B0), strict=True):
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
    monkeypatch.setattr(sys, "argv", ["report", *map(str, files)])
    module.main()
    assert "| b " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path / "none")])
    with pytest.raises(SystemExit):
        module.main()
    assert "there is no file" in capsys.readouterr().err
