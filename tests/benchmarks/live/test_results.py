from __future__ import annotations

import pytest

from benchmarks.live.experiment import ANEW
from benchmarks.live.results import Curve
from benchmarks.live.results import incumbents
from benchmarks.live.results import Results
from tests.benchmarks.live.by_hand import A
from tests.benchmarks.live.by_hand import B
from tests.benchmarks.live.by_hand import C
from tests.benchmarks.live.by_hand import D
from tests.benchmarks.live.by_hand import records
from tests.benchmarks.live.by_hand import search


def test_the_best_validation_loss_of_those_in_time_counts():
    record = search("one", "tnas", [(C, 0.7, 4.0), (B, 0.5, 6.0), (A, 0.3, 50.0)])
    curve = Curve(record, incumbents(record["steps"]))
    assert [curve.at(budget).cell for budget in (1, 2, 3, 24, 25)] == [C, C, B, B, A]
    assert (curve.at(24).units, curve.at(24).seconds, curve.at(24).n_cells) == (3, 6, 2)
    assert curve.changes() == [(2, C), (3, B), (25, A)]


def test_regret_compares_with_the_best_of_all_and_the_median_random_cell():
    results = Results(records("one"))
    assert [results.regret("one", c) for c in (A, C, D)] == pytest.approx([0, 1, 2])
    assert results.accuracy("one", B) == pytest.approx(0.9)


def test_pairs_without_a_method_do_not_count():
    found = [*records("one"), *(r for r in records("two") if r.get("method") != "tnas")]
    assert Results(found).pairs == [("one", 0)]
    missing = [r for r in records("one") if (r.get("cell"), r["seed"]) != (list(B), ANEW[0])]
    assert Results(missing).pairs == []
