from __future__ import annotations

from collections.abc import Mapping
import json
import sys
from typing import Any

import numpy as np
import pytest

from benchmarks import latency
from optuna_tnas import TNASSampler


TINY = "nasbench201:6"


@pytest.fixture
def case() -> latency.Case:
    return latency.Case(TINY)


def _untrained(case: latency.Case) -> TNASSampler:
    return TNASSampler(space=case.space, seed=1)


@pytest.fixture
def few_samplers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta-training takes seconds and is timed like the untrained one."""
    monkeypatch.setattr(latency.Case, "_meta_trained", _untrained)


@pytest.fixture
def in_this_process(few_samplers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes' own programs, without the time that it takes to start them."""

    def run(setting: str, *arguments: str) -> Any:
        if arguments == ("--first",):
            return {"imports": 1.0, "rest": 2.0}
        assert arguments[0] == "--measure" and arguments[2] == "--repeats"
        measured = latency.Case(arguments[1]).measure(int(arguments[3]))
        return json.loads(json.dumps(measured))

    monkeypatch.setattr(latency, "in_process", run)


def cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_table(
    in_this_process: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["latency", "--cases", TINY, "--repeats", "2"])
    latency.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    heads, rows, first = cells(lines[0]), lines[2:8], lines[8:]
    assert heads == latency.HEADS
    found = [dict(zip(heads, cells(row), strict=True)) for row in rows]
    names = ["GPSampler", "TNAS, untrained", "TNAS, meta-trained"]
    assert [row["sampler"] for row in found] == 2 * names
    assert [row["setting"] for row in found] == 3 * ["as installed"] + 3 * ["one thread"]
    for row in found:
        assert float(row["ms"]) > 0 and float(row["CPU ms"]) > 0
        assert (row["fit"] == "-") == (row["sampler"] == "GPSampler")
        if row["sampler"] == "GPSampler":
            assert float(row["of GPSampler's"]) == 1
        else:
            assert float(row["fit"]) > 0 and float(row["scoring"]) > 0
            assert float(row[latency.ENCODING]) > 0
        if row["setting"] == "one thread":
            assert float(row["of one thread's"]) == 1
    assert [cells(line)[0] for line in (first[0], *first[2:])] == ["setting", *latency.SETTINGS]


def test_each_suggestion_follows_one_on_a_study_of_so_many_trials(
    case: latency.Case, few_samplers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = latency.Case.suggestion

    def suggestion(self: latency.Case, study: Any) -> Mapping[str, float]:
        sizes.append(len(study.trials))
        return real(self, study)

    monkeypatch.setattr(latency.Case, "suggestion", suggestion)
    times = case.measure(2)
    assert sizes == 2 * 3 * [5, 6]
    assert {name: len(suggestions) for name, suggestions in times.items()} == dict.fromkeys(
        ("GPSampler", "TNAS, untrained", "TNAS, meta-trained"), 3
    )
    for name in ("TNAS, untrained", "TNAS, meta-trained"):
        assert [latency.ENCODING in seconds for seconds in times[name]] == [True, False, False]


def test_gpsampler_is_left_out_where_it_takes_too_long(few_samplers: None) -> None:
    n = latency.OURS_ALONE
    assert "GPSampler" in latency.Case(f"nasbench201:{n}").samplers()
    assert "GPSampler" not in latency.Case(f"nasbench201:{n + 1}").samplers()
    assert latency._repeats("nasbench201:999", 9) == 9
    assert latency._repeats("nasbench201:1000", 9) == 3


def test_parts_add_up(case: latency.Case) -> None:
    study = case.study_of(6, 0, _untrained(case))
    first, second = case.suggestion(study), case.suggestion(study)
    assert first[latency.ENCODING] > 0
    assert latency.ENCODING not in second
    parts = sum(second[part] for part in latency.parts())
    assert 0 < parts <= second["all"]
    assert all(second[part] > 0 for part in latency.parts() if part != latency.ENCODING)
    assert len(study.trials) == 8


def test_studies_are_random_and_the_same_for_all(case: latency.Case) -> None:
    studies = [case.study_of(20, seed) for seed in (0, 0, 1)]
    values = [[trial.value for trial in study.trials] for study in studies]
    assert values[0] == values[1] != values[2]
    assert np.std(values[0]) > 0


def test_the_first_suggestion_has_all_its_parts() -> None:
    seconds = latency.first_suggestion()
    assert min(seconds.values()) > 0
    parts = ("reading the checkpoint", "encoding the space", "rest")
    assert sum(seconds[p] for p in parts) == pytest.approx(seconds["all but the imports"])


@pytest.mark.parametrize("setting", latency.SETTINGS)
def test_processes_have_the_threads_of_their_setting(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments: list[Mapping[str, str]] = []

    class Done:
        stdout = b"{}"

    def run(command: list[str], env: Mapping[str, str], **kwargs: Any) -> Done:
        environments.append(env)
        return Done()

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(latency.subprocess, "run", run)
    assert latency.in_process(setting, "--first") == {}
    expected = {"as installed": None, "one thread": "1"}[setting]
    assert {environments[0].get(name) for name in latency._THREADS} == {expected}


def test_stopwatch_leaves_no_trace() -> None:
    functions = [f for part in latency.parts().values() for f in part]
    before = [getattr(owner, name) for owner, name in functions]
    with latency.stopwatch():
        assert [getattr(owner, name) for owner, name in functions] != before
    assert [getattr(owner, name) for owner, name in functions] == before
