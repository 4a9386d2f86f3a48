from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from benchmarks import peers


RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
# Written by commands with methods of their own.
NOT_PEERS = {
    "features.jsonl.xz",
    "imagesets.jsonl.xz",
    "live.jsonl.xz",
    "recommended.jsonl.xz",
    "shipped.jsonl.xz",
    "unfinished.jsonl.xz",
}


RETIRED = {"default_no_weights"}  # the comparison with it is made


@pytest.mark.parametrize("name", sorted({p.name for p in RESULTS.glob("*.xz")} - NOT_PEERS))
def test_every_recorded_method_is_known(name: str) -> None:
    with lzma.open(RESULTS / name, "rt") as file:
        recorded = {json.loads(line)["method"] for line in file}
    assert recorded - RETIRED <= set(peers.names())
