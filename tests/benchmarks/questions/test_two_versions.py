from __future__ import annotations

import numpy as np
import pytest

from benchmarks.past_settings import PastSetting
from benchmarks.questions.two_versions import paired
from benchmarks.questions.two_versions import rows
from benchmarks.run import Record


def records(
    seed: int, networks: list[int], regrets: list[float], target: str = "T"
) -> list[Record]:
    common = {
        "space": "S",
        "target": target,
        "method": "tnas",
        "seed": seed,
        "optimum": 90.0,
        "history": 200,
        "history_by": "random",
        "past": None,
        "spoil": None,
    }
    values = {"value": 80.0, "best_value": 80.0, "best_true": 80.0, "seconds": 0.1}
    return [
        {**common, **values, "trial": i, "network": network, "regret": regret}
        for i, (network, regret) in enumerate(zip(networks, regrets, strict=True))
    ]


BEFORE = [*records(0, [4, 7, 2], [0.5, 0.4, 0.3]), *records(1, [4, 8, 2], [0.6, 0.4, 0.2])]


def test_the_same_searches_do_not_part_and_their_regret_is_unchanged() -> None:
    [results] = paired(BEFORE, BEFORE, "tnas")
    [row] = rows(results)
    assert row[:4] == ["S", "2 of 2", "inf (inf to inf)", "+0.000 [+0.000, +0.000]"]


def test_searches_part_where_the_first_network_differs() -> None:
    after = [*records(0, [4, 7, 3], [0.5, 0.4, 0.1]), *records(1, [4, 9, 2], [0.6, 0.1, 0.1])]
    [results] = paired(BEFORE, after, "tnas")
    [row] = rows(results)
    assert row[1] == "0 of 2"
    assert row[2].startswith("2 (")  # quartiles of 1 and 2
    assert results.regret.shape[-1] == 3
    at = results.regret[list(results.methods).index("after")]
    np.testing.assert_allclose(at[0, :, 2], [0.1, 0.1])


def test_only_searches_of_both_files_count() -> None:
    after = [*records(1, [4, 8, 2], [0.7, 0.4, 0.2]), *records(0, [1], [0.1], target="other")]
    [results] = paired(BEFORE, after, "tnas")
    [row] = rows(results)
    assert row[1] == "1 of 1"
    assert row[3].startswith("+0.100")


@pytest.mark.parametrize("other", ["gp", "random"])
def test_other_methods_do_not_count(other: str) -> None:
    assert paired(BEFORE, [{**r, "method": other} for r in BEFORE], "tnas") == []


def test_each_kind_of_past_is_compared_by_itself() -> None:
    spoiled = [{**r, "spoil": "negated"} for r in BEFORE]
    both = paired([*BEFORE, *spoiled], [*BEFORE, *spoiled], "tnas")
    assert {results.past for results in both} == {
        PastSetting(200, "random", None, None),
        PastSetting(200, "random", None, "negated"),
    }
