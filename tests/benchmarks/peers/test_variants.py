from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from benchmarks import peers


RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
NOT_PEERS = {"imagesets.jsonl.xz", "shipped.jsonl.xz"}  # written by commands with own methods


RETIRED = {"default_no_weights"}  # a part that did not pay and is gone


@pytest.mark.parametrize("name", sorted({p.name for p in RESULTS.glob("*.xz")} - NOT_PEERS))
def test_every_recorded_method_is_known(name: str) -> None:
    with lzma.open(RESULTS / name, "rt") as file:
        recorded = {json.loads(line)["method"] for line in file}
    assert recorded - RETIRED <= set(peers.names())
