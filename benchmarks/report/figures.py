"""Compute the figures that tables and JSON show: by method, for a family or over all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import tasks
from benchmarks.report.results import Results
from benchmarks.report.results import SearchedTask
from benchmarks.report.statistics import interval
from benchmarks.report.statistics import known_mean
from benchmarks.report.statistics import quartiles
from benchmarks.report.statistics import ranks


EVALUATIONS = (1, 5, 10, 20, 50, 100)
CLOSE = 0.1  # points below the optimum of what is searched that count as reaching it
TOP = 10

ByBudget = dict[int, float]  # by evaluations


@dataclass(frozen=True)
class Difference:
    """Regret of ours minus that of a method, over shared searches; below 0 ours is better.

    Attributes:
        low: End of the bootstrap interval, as is ``high``.
        pairs: Searches on the same target with the same seed, and so the same past.
    """

    mean: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Needed:
    """Quartiles of evaluations needed by searches of ``trials``; infinite if not reached."""

    lower: float
    median: float
    upper: float
    reached: int
    searches: int
    trials: int


@dataclass(frozen=True)
class Method:
    """Figures of one method.

    Attributes:
        seeds: The fewest and the most on a target.
        fewer: Whether another method has more searches.
    """

    name: str
    seeds: tuple[int, int]
    fewer: bool
    regret: ByBudget
    differences: dict[int, Difference]
    rank: ByBudget
    rank_over_time: float
    worst_target: str
    worst_rank: float
    optimum: Needed | None
    top: Needed | None
    seconds: float
    repeats: float


@dataclass(frozen=True)
class Scope:
    """Methods compared over some targets, the best at the end first.

    Attributes:
        compared: How many evaluations have ranks.
        best_rivals: By evaluations, the method that ours is ahead of the least.
        left_out: Methods without a search on one of the targets.
    """

    name: str
    targets: list[str]
    budgets: list[int]
    compared: int
    methods: list[Method]
    best_rivals: dict[int, str]
    left_out: list[str]


def scope(
    name: str,
    results: Results,
    targets: Sequence[SearchedTask],
    ours: str = "",
    kin: Sequence[str] = (),
) -> Scope:
    """Compare the methods over these targets; variants of ours, ``kin``, are no rivals."""
    part, named = results.on(targets), [str(target) for target in targets]
    if not part.methods:
        return Scope(name, named, [], 0, [], {}, list(results.methods))
    budgets = [n for n in EVALUATIONS if n <= part.regret.shape[-1]]
    rank = ranks(part.regret)
    columns = {
        "name": part.methods,
        **_seeds(part),
        "regret": _at(part.mean(part.regret), budgets),
        "differences": _differences(part, ours, budgets),
        "rank": _at(part.mean(rank), budgets),
        **_over_time(part, rank),
        "optimum": _needed(part, part.optimum - CLOSE),
        "top": _needed(part, np.array(list(map(top_value, targets, part.optimum)))),
        **_effort(part),
    }
    rows = [
        Method(**dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]
    return Scope(
        name,
        named,
        budgets,
        int(compared(part, rank).sum()),
        sorted(rows, key=_place),
        _best_rivals(rows, budgets, {ours, *kin}),
        [method for method in results.methods if method not in part.methods],
    )


def _place(method: Method) -> tuple[float, ...]:
    """Order by the final regret; methods that did not get there come last."""
    return tuple(r if np.isfinite(r) else np.inf for r in reversed(method.regret.values()))


def _at(x: np.ndarray, budgets: Sequence[int]) -> list[ByBudget]:
    return [{n: float(row[n - 1]) for n in budgets} for row in x]


def _seeds(results: Results) -> dict[str, list[Any]]:
    seeds = results.searched.sum(axis=2)
    fewer = (seeds < seeds.max(axis=0)).any(axis=1)
    return {"seeds": [(int(s.min()), int(s.max())) for s in seeds], "fewer": fewer.tolist()}


def _differences(
    results: Results, ours: str, budgets: Sequence[int]
) -> list[dict[int, Difference]]:
    """Compare ours with each method at each budget; empty if there are no searches of ours."""
    if ours not in results.methods:
        return [{} for _ in results.methods]
    regret = results.regret[..., np.array(budgets) - 1]
    gap = regret[results.methods.index(ours)] - regret
    pairs = np.isfinite(gap).sum(axis=(1, 2))
    targets, seeds = gap.shape[1:3]
    columns = np.moveaxis(gap, 0, 2).reshape(targets, seeds, -1)
    low, high = interval(columns, results.weights).reshape(2, *pairs.shape)
    rows = np.stack([results.mean(gap), low, high, pairs], axis=-1).tolist()
    differences = [
        [Difference(mean, low, high, int(n)) for mean, low, high, n in row] for row in rows
    ]
    return [
        {} if method == ours else dict(zip(budgets, row, strict=True))
        for method, row in zip(results.methods, differences, strict=True)
    ]


def _best_rivals(
    methods: Sequence[Method], budgets: Sequence[int], kin: set[str]
) -> dict[int, str]:
    rivals = {m.name: m.differences for m in methods if m.differences and m.name not in kin}
    best = {}
    for n in budgets:
        gaps = {name: d[n].mean for name, d in rivals.items() if np.isfinite(d[n].mean)}
        if gaps:
            best[n] = max(gaps, key=lambda name: gaps[name])
    return best


def compared(results: Results, rank: np.ndarray) -> np.ndarray:
    """Tell for each evaluation count whether two methods, or the only one, have a mean rank."""
    known = np.isfinite(results.mean(rank)).sum(axis=0)
    return np.asarray(known >= min(2, len(results.methods)))


def _over_time(results: Results, rank: np.ndarray) -> dict[str, list[Any]]:
    """Average ranks over the evaluations at which methods are compared."""
    by_target = known_mean(rank[..., compared(results, rank)], axis=2).mean(axis=-1)
    worst = by_target.argmax(axis=1)
    return {
        "rank_over_time": (by_target @ results.weights).tolist(),
        "worst_target": [str(results.targets[t]) for t in worst],
        "worst_rank": by_target.max(axis=1).tolist(),
    }


def _needed(results: Results, wanted: np.ndarray) -> list[Needed | None]:
    """Count evaluations until the best value was the target's wanted one; NaN if unknown."""
    hit = results.best >= wanted[:, None, None] - 1e-9
    needed = np.where(hit.any(axis=-1), hit.argmax(axis=-1) + 1.0, np.inf)
    counted = results.searched & np.isfinite(wanted)[:, None]
    trials = np.isfinite(results.regret).any(axis=(1, 2)).sum(axis=-1)
    return [
        Needed(*quartiles(n[c]), int(np.isfinite(n[c]).sum()), int(c.sum()), int(longest))
        if c.any()
        else None
        for n, c, longest in zip(needed, counted, trials, strict=True)
    ]


def top_value(target: SearchedTask, optimum: float) -> float:
    """Return the searched value of the target's tenth best network; NaN without its table."""
    if target.space not in tasks.FAMILIES:
        return np.nan
    try:
        task = tasks.load(target.space).tasks.get(target.name)
    except tasks.TableError:
        return np.nan
    if isinstance(task, tasks.TableTask) and task.optimum == optimum:
        return float(np.sort(task.value)[-TOP])
    return np.nan


def _effort(results: Results) -> dict[str, list[float]]:
    """Return median seconds of a suggestion, and repeated suggestions a search."""
    searches = results.searched.sum(axis=(1, 2))
    again = (np.diff(np.sort(results.network, axis=-1), axis=-1) == 0).sum(axis=(1, 2, 3))
    seconds = [float(np.nanmedian(s)) for s in results.seconds]
    return {"seconds": seconds, "repeats": (again / searches).tolist()}
