from __future__ import annotations

import pytest

from benchmarks import latency
from optuna_tnas import TNASSampler


@pytest.fixture
def few_samplers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta-training takes seconds and is timed like the untrained one."""
    monkeypatch.setattr(latency, "meta_trained", lambda: TNASSampler(space=latency.SPACE, seed=1))


def test_table(few_samplers: None) -> None:
    lines = [line.strip("| ").split(" | ") for line in latency.report([6], repeats=2)]
    heads, rows = lines[0], lines[2:]
    assert [row[1] for row in rows] == ["GPSampler", "TNAS, untrained", "TNAS, meta-trained"]
    assert {len(row) for row in rows} == {len(heads)}
    assert float(rows[0][3]) == float(rows[0][5]) == 1
    assert rows[0][6] == "-"
    for row in rows[1:]:
        assert all(float(cell) > 0 for cell in row[2:])


def test_parts_add_up() -> None:
    study = latency.study_of(6, 0, TNASSampler(space=latency.SPACE, seed=0))
    first, second = latency.suggestion(study), latency.suggestion(study)
    assert first[latency.ENCODING] > 0
    assert latency.ENCODING not in second
    parts = sum(second[part] for part in latency.PARTS)
    assert 0 < parts <= second["all"]
    assert len(study.trials) == 8


def test_stopwatch_leaves_no_trace() -> None:
    before = [getattr(owner, name) for owner, name in latency.PARTS.values()]
    with latency.stopwatch():
        pass
    assert [getattr(owner, name) for owner, name in latency.PARTS.values()] == before
