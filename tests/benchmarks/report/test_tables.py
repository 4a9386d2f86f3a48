from __future__ import annotations

from typing import Any

import pytest

from benchmarks.past_settings import PastSetting
from benchmarks.report.figures import scope
from benchmarks.report.results import all_results
from benchmarks.report.tables import in_words
from benchmarks.report.tables import scope_tables
from benchmarks.report.tables import target_tables


Records = list[dict[str, Any]]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables(records: Records, name: str, ours: str = "tnas") -> tuple[list[str], list[list[str]]]:
    """Lines that are not of tables, and those that are, as cells."""
    (results,) = all_results(records)
    figures = scope(name, results, results.scopes[name], ours)
    lines = list(scope_tables(figures, ours))
    return lines, [cells(line) for line in lines if line.startswith("|")]


def test_tables_of_a_scope(example: Records) -> None:
    lines, rows = tables(example, "S", ours="a")
    assert lines[0] == "## S, 1 task\n"
    assert ["a", "2", "**1.5000**", "**0.2000**"] in rows
    assert [r"b\*", "1", "3.0000", "3.0000"] in rows
    assert ["5", r"b\*", "-2.9000", "-", "1"] in rows  # no interval of one pair
    assert ["a", "1.00", "1.00", "1.00", "S T: 1.00"] in rows
    assert ["a", "3 (2.5 to 3.5)", "2/2", "-", "-", "0.2500", "2.0"] in rows
    assert [r"b\*", ">5 (>5 to >5)", "0/1", "-", "-", "0.2500", "1.0"] in rows


def test_interval(many: Records) -> None:
    _, rows = tables(many, "over all families")
    (row,) = (row for row in rows if row[0] == "10" and row[1].startswith(("tpe", "slow")))
    low, high = (float(end) for end in row[3].strip("[]").split(", "))
    assert low < float(row[2]) < high
    assert row[4] == ("15" if row[1] == "tpe" else "9")


def test_no_comparison_without_ours(many: Records) -> None:
    lines, rows = tables(many, "S", ours="none")
    assert not any("against" in line for line in lines)
    assert len([row for row in rows if row[0] == "tpe"]) == 3


def test_methods_left_out_are_named(example: Records, many: Records) -> None:
    lines, _ = tables([*example, *many], "over all families")
    assert "Not on every task, so left out: a, b.\n" in lines


def test_no_method_on_every_task(example: Records) -> None:
    apart = [{**r, "target": r["method"]} for r in example]
    lines, rows = tables(apart, "S")
    assert lines[0] == "## S, 2 tasks\n"
    assert rows == []


def test_tables_of_a_task(example: Records) -> None:
    (results,) = all_results(example)
    lines = list(target_tables(results, results.targets[0]))
    rows = [cells(line) for line in lines if line.startswith("|")]
    assert lines[0].startswith("## S T, 200 past trials")
    assert rows[0] == ["method", "seeds", "1", "5"]
    assert ["a", "2", "1.5000 ± 0.5000", "0.2000 ± 0.1000"] in rows
    assert ["b", "1", "3.0000 ± 0.0000", "3.0000 ± 0.0000"] in rows
    assert ["a", "2", "93.5000 ± 0.5000", "94.8000 ± 0.1000"] in rows  # true values
    assert ["b", "1", "92.0000 ± 0.0000", "92.0000 ± 0.0000"] in rows
    assert ["a", "3 (2.5 to 3.5)", "2/2", "89.950", "0.2500", "2.0"] in rows
    assert ["b", ">5 (>5 to >5)", "0/1", "89.800", "0.2500", "1.0"] in rows
    assert any("90.00: median" in line for line in lines)


def test_past_in_words() -> None:
    assert in_words(PastSetting()) == "200 past trials a task by random"
    spoiled = PastSetting(50, "tpe", 1, "negated")
    assert in_words(spoiled) == "50 past trials a task by tpe, 1 past task, negated"


@pytest.mark.parametrize("name", ["over all families", "S", "V"])
def test_output_repeats(name: str, many: Records) -> None:
    assert tables(many, name) == tables(many[::-1], name)
