from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.report.figures import Needed
from benchmarks.report.figures import Scope
from benchmarks.report.figures import scope
from benchmarks.report.figures import top_value
from benchmarks.report.results import all_results
from benchmarks.report.results import SearchedTask
from benchmarks.report.statistics import interval
from benchmarks.tasks import Family
from benchmarks.tasks import TableTask
from optuna_tnas.spaces import CellSpace


Records = list[dict[str, Any]]


def figures(records: Records, name: str, ours: str = "", kin: tuple[str, ...] = ()) -> Scope:
    (results,) = all_results(records)
    return scope(name, results, results.scopes[name], ours, kin)


def test_one_task(example: Records) -> None:
    a, b = figures(example, "S").methods
    assert (a.name, a.seeds, a.fewer) == ("a", (2, 2), False)
    assert (b.name, b.seeds, b.fewer) == ("b", (1, 1), True)
    assert a.regret == pytest.approx({1: 1.5, 5: 0.2})
    assert a.rank == {1: 1, 5: 1}
    assert b.rank_over_time == 2
    assert a.optimum == Needed(2.5, 3, 3.5, reached=2, searches=2, trials=5)
    assert b.optimum == Needed(np.inf, np.inf, np.inf, reached=0, searches=1, trials=5)
    assert (a.top, a.seconds, a.repeats, b.repeats) == (None, 0.25, 2, 1)


def test_differences_are_of_pairs(many: Records) -> None:
    found = figures(many, "V", ours="tnas")
    (slow,) = (m for m in found.methods if m.name == "slow")
    last = {
        (r["method"], r["seed"]): r["regret"]
        for r in many
        if r["space"] == "V" and r["trial"] == 9
    }
    gaps = np.array([last["tnas", seed] - last["slow", seed] for seed in range(3)])
    difference = slow.differences[10]
    assert difference.pairs == 3
    assert difference.mean == pytest.approx(gaps.mean())
    ends = interval(gaps.reshape(1, 3, 1), np.ones(1)).ravel()
    np.testing.assert_allclose([difference.low, difference.high], ends, atol=0.02)


def test_best_rival(many: Records) -> None:
    found = figures(many, "over all families", ours="tnas")
    (ours,) = (m for m in found.methods if m.name == "tnas")
    assert ours.differences == {}
    for n, best in found.best_rivals.items():
        means = {m.name: m.differences[n].mean for m in found.methods if m.differences}
        assert means[best] == max(means.values())
    without = figures(many, "over all families", ours="tnas", kin=("slow",))
    assert set(without.best_rivals.values()) == {"tpe"}


def test_without_ours(many: Records) -> None:
    found = figures(many, "S", ours="none")
    assert found.best_rivals == {}
    assert all(m.differences == {} for m in found.methods)


def test_worst_task(many: Records) -> None:
    bad = ("tnas", "W")
    one_bad = [{**r, "regret": 9.0} if (r["method"], r["target"]) == bad else r for r in many]
    found = figures(one_bad, "over all families")
    (ours,) = (m for m in found.methods if m.name == "tnas")
    assert (ours.worst_target, ours.worst_rank) == ("V W", 3)


def test_a_method_that_ended_early(many: Records, search: Callable[..., Records]) -> None:
    records = [r for r in many if r["target"] == "T"]
    for seed in range(5):
        records += search("short", seed, [80.0] * 5, [0.0] * 5)
    found = figures(records, "S", ours="tnas")
    (method,) = (m for m in found.methods if m.name == "short")
    assert found.budgets == [1, 5, 10]
    assert found.methods[-1] == method
    assert method.regret[5] == 0 and np.isnan(method.regret[10])
    assert method.rank[5] == 1 and np.isnan(method.rank[10])
    assert np.isnan(method.rank_over_time)
    assert found.best_rivals[5] == "short" != found.best_rivals[10]
    assert method.optimum is not None and method.optimum.trials == 5


def test_methods_that_are_not_on_every_task(example: Records, many: Records) -> None:
    found = figures([*example, *many], "over all families")
    assert found.left_out == ["a", "b"]
    assert {m.name for m in found.methods} == {"tnas", "tpe", "slow"}


def test_no_method_on_every_task(search: Callable[..., Records]) -> None:
    apart = [*search("a", 0, [1.0], [1.0]), *search("b", 0, [1.0], [1.0], target="U")]
    assert figures(apart, "S", ours="a").methods == []


# --- the best networks ----------------------------------------------------------------------

SPACE = CellSpace.on_edges(3, ["none", "conv"], zero=["none"])


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Twelve networks of values 1 to 12."""
    task = TableTask(np.zeros((2, 2, 2), dtype=int), np.arange(1.0, 13), np.arange(1.0, 13))
    monkeypatch.setitem(tasks.FAMILIES, "S", lambda: Family(SPACE, {"T": task}))
    yield
    tasks.load.cache_clear()


@pytest.mark.usefixtures("family")
def test_one_of_the_top_ten(search: Callable[..., Records]) -> None:
    assert top_value(SearchedTask("S", "T"), 12.0) == 3.0
    records = search("a", 0, [1.0, 2.0, 3.0, 12.0], [1.0] * 4, optimum=12.0)
    (method,) = figures(records, "S").methods
    assert method.top is not None and method.top.median == 3
    assert method.optimum is not None and method.optimum.median == 4


@pytest.mark.usefixtures("family")
def test_no_top_ten_of_another_table(search: Callable[..., Records]) -> None:
    assert np.isnan(top_value(SearchedTask("S", "T"), 12.5))
    assert np.isnan(top_value(SearchedTask("S", "U"), 12.0))
    assert np.isnan(top_value(SearchedTask("moon", "T"), 12.0))


def test_no_top_ten_without_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTUNA_TNAS_DATA", raising=False)
    tasks.load.cache_clear()
    assert np.isnan(top_value(SearchedTask("transnas", "jigsaw"), 95.37))
