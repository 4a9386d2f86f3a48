from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.past_settings import PastSetting
from benchmarks.report.results import all_results
from benchmarks.report.results import SearchedTask
from benchmarks.tasks import TableError


Records = list[dict[str, Any]]


def test_arrays(example: Records) -> None:
    (results,) = all_results(example)
    assert results.methods == ("a", "b")
    assert results.targets == (SearchedTask("S", "T"),)
    assert results.regret.shape == (2, 1, 2, 5)
    np.testing.assert_array_equal(results.regret[0, 0, 0], [1.0, 0.2, 0.2, 0.2, 0.1])
    np.testing.assert_array_equal(results.best[0, 0, 1], [80, 80, 80, 90, 90])
    assert np.isnan(results.regret[1, 0, 1]).all()
    assert results.searched[:, 0].tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("fields", "past"),
    [
        ({"history": 50}, PastSetting(50)),
        ({"history_by": "tpe"}, PastSetting(by="tpe")),
        ({"past": 2}, PastSetting(tasks=2)),
        ({"spoil": "shuffled"}, PastSetting(spoil="shuffled")),
    ],
)
def test_pasts_do_not_mix(
    fields: dict[str, Any], past: PastSetting, example: Records, search: Callable[..., Records]
) -> None:
    other = search("c", 0, [80.0], [1.0], **fields)
    methods = {results.past: results.methods for results in all_results([*example, *other])}
    assert methods == {PastSetting(): ("a", "b"), past: ("c",)}


def test_mean_over_tasks_and_families(many: Records) -> None:
    (results,) = all_results(many)
    mean = results.mean(results.regret)[results.methods.index("slow"), -1]
    at_the_end = [r for r in many if r["method"] == "slow" and r["trial"] == 9]
    by_task = {
        target: np.mean([r["regret"] for r in at_the_end if r["target"] == target])
        for target in "TUW"
    }
    assert mean == pytest.approx(((by_task["T"] + by_task["U"]) / 2 + by_task["W"]) / 2)


def test_on_some_targets(many: Records, search: Callable[..., Records]) -> None:
    only = search("tpe2", 0, [80.0] * 20, [1.0] * 20, target="U")
    (results,) = all_results([*many, *only])
    assert list(results.scopes) == ["over all families", "S", "V"]
    both = results.on(results.scopes["S"])
    assert both.methods == ("slow", "tnas", "tpe")
    assert both.regret.shape[-1] == 10  # nobody got further on T
    one = results.on([SearchedTask("S", "U")])
    assert one.methods == ("slow", "tnas", "tpe", "tpe2")
    assert one.regret.shape[-1] == 20
    assert one.weights.tolist() == [1]


def test_no_over_all_of_one_family(example: Records) -> None:
    (results,) = all_results(example)
    assert list(results.scopes) == ["S"]


def test_networks_too_large_for_a_float(search: Callable[..., Records]) -> None:
    records = search("a", 0, [80.0] * 3, [1.0] * 3)
    for record, network in zip(records, [10**22, 10**22 + 1, 10**22], strict=True):
        record["network"] = network
    (results,) = all_results(records)
    first, second, third = results.network[0, 0, 0]
    assert first == third != second


def test_searches_of_two_tables(example: Records, search: Callable[..., Records]) -> None:
    other = search("c", 0, [80.0], [1.0], optimum=91.0)
    with pytest.raises(TableError, match="S T are of different tables"):
        all_results([*example, *other])
