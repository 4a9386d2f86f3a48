from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.questions import shipped_checkpoints
from optuna_tnas import Config
from tests.small_config import BRIEF


needs_tables = pytest.mark.skipif(
    not os.environ.get("OPTUNA_TNAS_DATA"), reason="OPTUNA_TNAS_DATA is not set"
)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: BRIEF))


@needs_tables
@pytest.mark.parametrize(
    ("space", "target", "anew"),
    [("nasbench201", "c10", 1), ("nasbench201x5", "darcy", 0), ("mobilenetv3", "imagenet", 1)],
)
def test_a_shipped_checkpoint_on_the_yardstick_has_not_seen_its_target(
    space: str, target: str, anew: int, tmp_path: Path
) -> None:
    name = shipped_checkpoints.CHECKPOINT_OF[space]
    learned = shipped_checkpoints.unbiased(name, target, 0, tmp_path).provenance["tasks"]
    assert target not in {study.split(".")[0] for study in learned}
    assert len(learned) > 3
    assert len(list(tmp_path.glob("*.pt"))) == anew


@needs_tables
def test_a_search_with_a_shipped_checkpoint_is_recorded(tmp_path: Path) -> None:
    (search,) = shipped_checkpoints.searches(
        "nasbench201x5", ["darcy"], ["shipped"], 1, 2, tmp_path
    )
    records = shipped_checkpoints.run_search(search)
    assert [r["trial"] for r in records] == [0, 1]
    assert {r["method"] for r in records} == {"shipped"}
    assert records[0]["network"] != records[1]["network"]


@needs_tables
def test_searches_that_begin_at_random_are_pairs(tmp_path: Path) -> None:
    methods = ["shipped_later", "fresh_later"]
    searches = shipped_checkpoints.searches("nasbench201x5", ["darcy"], methods, 2, 2, tmp_path)
    records = [shipped_checkpoints.run_search(search) for search in searches]
    assert [r[0]["method"] for r in records] == 2 * methods
    first = [r[0]["network"] for r in records]
    assert first[0] == first[1] != first[2] == first[3]
    assert all(r[0]["network"] != r[1]["network"] for r in records)
