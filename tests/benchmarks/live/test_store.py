from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.live.store import Store


def test_a_record_is_made_once(tmp_path: Path):
    store, made = Store(tmp_path / "new"), []

    def make():
        made.append(1)
        return {"value": 0.1 + 0.2}

    assert not store.known(("a", "b", 3))
    for _ in range(2):
        assert store.get(("a", "b", 3), make) == {"value": 0.1 + 0.2}
    assert len(made) == 1
    assert store.known(("a", "b", 3))
    assert Store(tmp_path / "new").records() == [{"value": 0.1 + 0.2}]


def test_what_fails_leaves_no_record(tmp_path: Path):
    def fail():
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        Store(tmp_path).get(("a",), fail)
    assert Store(tmp_path).records() == []


def test_earlier_records_are_added_but_replace_none(tmp_path: Path):
    store = Store(tmp_path)
    store.get(("x", 1), lambda: {"key": 1, "from": "here"})
    store.add(
        [{"key": 1, "from": "there"}, {"key": 2, "from": "there"}], lambda r: ("x", r["key"])
    )
    assert [(r["key"], r["from"]) for r in store.records()] == [(1, "here"), (2, "there")]
