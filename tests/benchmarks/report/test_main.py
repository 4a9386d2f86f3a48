from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import sys
from typing import Any

import pytest

from benchmarks.report import __main__ as module


Records = list[dict[str, Any]]
Command = Callable[..., str]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Writes the records to two files and returns what the command prints of them."""

    def run(records: Records, *options: str) -> str:
        files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
        for file, part in zip(files, (records[::2], records[1::2]), strict=True):
            file.write_text("".join(json.dumps(record) + "\n" for record in part))
        monkeypatch.setattr(sys, "argv", ["report", *map(str, files), *options])
        module.main()
        return capsys.readouterr().out

    return run


def heads(text: str) -> list[str]:
    return [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]


def test_markdown(command: Command, many: Records) -> None:
    usual = "200 past trials a task by random"
    families = ["over all families, 3 tasks", "S, 2 tasks", "V, 1 task"]
    assert heads(command(many)) == [usual, *families]
    by_task = [f"{task}, {usual}" for task in ("S T", "S U", "V W")]
    assert heads(command(many, "--tasks")) == [usual, *families, *by_task]


def test_each_past_has_its_tables(command: Command, many: Records) -> None:
    other = [{**r, "spoil": "shuffled"} for r in many if r["space"] == "V"]
    found = heads(command([*many, *other]))
    assert found[4:] == ["200 past trials a task by random, shuffled", "V, 1 task"]


def test_variants_of_ours_are_no_rivals(command: Command, many: Records) -> None:
    against = command(many, "--ours", "slow,tnas").split("slow against the best rival")[1]
    assert "tpe" in against.split("Mean rank")[0]
    assert "tnas" not in against.split("Mean rank")[0]


def test_json(command: Command, many: Records) -> None:
    (group,) = json.loads(command(many, "--json"), parse_constant=pytest.fail)
    assert group["past"] == {"n": 200, "by": "random", "tasks": None, "spoil": None}
    over_all = group["scopes"][0]
    methods = {method["name"]: method for method in over_all["methods"]}
    assert methods["tpe"]["optimum"]["median"] is None
    assert methods["tpe"]["differences"]["10"]["pairs"] == 15
    assert methods["slow"]["fewer"]


def test_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path / "none")])
    with pytest.raises(SystemExit):
        module.main()
    assert "there is no file" in capsys.readouterr().err


def test_two_tables(command: Command, many: Records) -> None:
    with pytest.raises(SystemExit, match="different tables"):
        command([*many, {**many[0], "seed": 9, "optimum": 91.0}])


def test_no_records(command: Command) -> None:
    with pytest.raises(SystemExit, match="no records"):
        command([])


def test_curves(command: Command, many: Records, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command(many, "--curves", str(tmp_path / "new"), "--methods", "tnas,tpe")
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"regret.png", "rank.png"}
