"""Report one-shot and black-box searches at equal CPU time.

    python -m benchmarks.live.report live.jsonl

Only (image set, seed) pairs on which every method searched count, so that all means are over the
same pairs. A found cell's figures are the mean of its trainings anew, on the test images. Regret
is (loss - best) / (median - best) of test log losses: the median of the random cells, the best of
them and of all that were trained anew. Intervals are bootstrapped over the image sets, each with
its seeds. ``METHOD:no_none`` derives the cell from the same alpha without ``none``;
``METHOD:recommended`` is the tried cell with the best posterior mean.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
import json
import lzma
from pathlib import Path
import sys

import numpy as np

from benchmarks.common.markdown import table
from benchmarks.live.experiment import ANEW
from benchmarks.live.rivals import EPOCHS
from benchmarks.live.rivals import ONE_SHOT
from benchmarks.live.store import Record
from benchmarks.live.supernet import Cell
from benchmarks.live.trainings import pruned


BUDGETS = (5, 10, 20, 50)
OURS = "tnas"
_RESAMPLES = 10_000
_CLOSE = 0.1  # regret


@dataclass(frozen=True)
class Outcome:
    """What a search has at a budget.

    Attributes:
        cell: The best so far.
        units: Spent, in trainings of a random cell; those of its best cell were spent at
            ``found``.
        seconds: Of CPU, spent.
        n_cells: Trained.
    """

    cell: Cell
    units: float
    found: float
    seconds: float
    n_cells: int


class Curve:
    """The best cell of a black-box search over time.

    Args:
        record: The search.
        recommended: Whether the best is what the sampler recommends.
    """

    def __init__(self, record: Record, recommended: bool = False) -> None:
        self._steps = record["steps"]
        self._unit = record["unit"]
        losses = [step["validation_loss"] for step in self._steps]
        best = [int(np.argmin(losses[: i + 1])) for i in range(len(losses))]
        self._cells = [
            pruned(step["recommended"] if recommended else self._steps[best[i]]["cell"])
            for i, step in enumerate(self._steps)
        ]

    def at(self, budget: float) -> Outcome:
        """Stop the search before the first training that ends behind the budget."""
        spent = [step["cpu_seconds"] for step in self._steps]
        n = max(1, int(np.searchsorted(spent, budget * self._unit, side="right")))
        cell = self._cells[n - 1]
        first = n - 1
        while first > 0 and self._cells[first - 1] == cell:
            first -= 1
        units = [seconds / self._unit for seconds in spent]
        return Outcome(cell, units[n - 1], units[first], spent[n - 1], n)

    def changes(self) -> list[tuple[float, Cell]]:
        """List the units at which the best cell changed, and the cell."""
        kept: list[tuple[float, Cell]] = []
        for step, cell in zip(self._steps, self._cells, strict=True):
            if not kept or kept[-1][1] != cell:
                kept.append((step["cpu_seconds"] / self._unit, cell))
        return kept


class Results:
    """All records, by image set and seed.

    Args:
        records: Of trainings and searches.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._anew: dict[tuple[str, Cell], list[Record]] = defaultdict(list)
        self._random: dict[tuple[str, Cell], list[Record]] = defaultdict(list)
        self.searches: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            if record["kind"] == "search":
                self.searches[record["dataset"], record["seed"]].append(record)
            else:
                kept = self._anew if record["seed"] in ANEW else self._random
                kept[record["dataset"], tuple(record["cell"])].append(record)

    @cached_property
    def outcomes(self) -> dict[tuple[str, int], dict[tuple[str, int], Outcome]]:
        """What each method has at each budget, by image set and seed."""
        return {
            pair: {key: out for record in records for key, out in outcomes_of(record)}
            for pair, records in self.searches.items()
        }

    @cached_property
    def curves(self) -> dict[tuple[str, int], dict[str, Curve]]:
        """The black-box searches by image set, seed and method."""
        return {
            pair: dict(curve for record in records for curve in curves_of(record))
            for pair, records in self.searches.items()
        }

    @cached_property
    def pairs(self) -> list[tuple[str, int]]:
        """The image sets and seeds on which all methods searched."""
        everything = set().union(*map(set, self.outcomes.values()))
        return sorted(
            pair
            for pair, found in self.outcomes.items()
            if set(found) == everything
            and all(self.measured(pair[0], o.cell) for o in found.values())
        )

    def measured(self, dataset: str, cell: Cell) -> bool:
        """Tell whether a cell was trained anew with all seeds."""
        return len(self._anew.get((dataset, cell), [])) == len(ANEW)

    def loss(self, dataset: str, cell: Cell) -> float:
        """Average the test log loss of a cell trained anew."""
        return _mean(self._anew[dataset, cell], "test_loss")

    def accuracy(self, dataset: str, cell: Cell) -> float:
        """Average the test accuracy of a cell trained anew."""
        return _mean(self._anew[dataset, cell], "test_accuracy")

    def regret(self, dataset: str, cell: Cell) -> float:
        """Compare a cell with the best and the median one."""
        best, median = self._scale[dataset]
        return (self.loss(dataset, cell) - best) / (median - best)

    @cached_property
    def _scale(self) -> dict[str, tuple[float, float]]:
        """The best and the median test loss of each image set."""
        scale = {}
        for dataset in {dataset for dataset, _ in self.searches}:
            random = _means_of(self._reference(dataset))
            anew = _means_of({c: r for (d, c), r in self._anew.items() if d == dataset})
            scale[dataset] = (min([*random, *anew]), float(np.median(random)))
        return scale

    def _reference(self, dataset: str) -> Mapping[Cell, list[Record]]:
        cells = {
            pruned(step["cell"])
            for (d, _), records in self.searches.items()
            for record in records
            for step in record.get("steps", [])
            if d == dataset and record["method"] == "random"
        }
        return {cell: self._random[dataset, cell] for cell in cells}


def _means_of(records: Mapping[Cell, Sequence[Record]]) -> list[float]:
    return [_mean(found, "test_loss") for found in records.values()]


def _mean(records: Sequence[Record], name: str) -> float:
    return float(np.mean([record[name] for record in records]))


def outcomes_of(record: Record) -> Iterable[tuple[tuple[str, int], Outcome]]:
    """Yield what a search has, by method and budget."""
    method = record["method"]
    if "steps" in record:
        for name, curve in curves_of(record):
            yield from (((name, budget), curve.at(budget)) for budget in BUDGETS)
        return
    budgets = {epochs: budget for budget, epochs in EPOCHS[method].items()}
    if record["epochs"] not in budgets:
        return  # of the published length: not at a budget
    for name, i in ((method, 0), (f"{method}:no_none", 1)):
        seconds = record["cpu_seconds"][i]
        units = seconds / record["unit"]
        cell = pruned(record["cells"][i])
        yield (name, budgets[record["epochs"]]), Outcome(cell, units, units, seconds, 1)


def curves_of(record: Record) -> Iterable[tuple[str, Curve]]:
    """Yield a black-box search's curve, and that of what the sampler recommends."""
    if "steps" not in record:
        return
    yield record["method"], Curve(record)
    if record["method"].startswith("tnas"):
        yield f"{record['method']}:recommended", Curve(record, recommended=True)


# --- tables ---------------------------------------------------------------------------------


def at_budget(results: Results, budget: int) -> list[str]:
    """Compare all methods at a budget: a table."""
    rows = []
    for method in methods_at(results, budget):
        found = [results.outcomes[pair][method, budget] for pair in results.pairs]
        regrets = _by_set(results, method, budget, results.regret)
        accuracies = _by_set(results, method, budget, results.accuracy)
        spread = np.mean([np.std(values) for values in accuracies.values()])
        rows.append(
            [
                f"**{method}**" if method == OURS else method,
                f"{_over_sets(regrets):.3f}",
                _difference(results, method, budget),
                f"{100 * _over_sets(accuracies):.2f} ± {100 * spread:.2f}",
                f"{np.mean([o.units for o in found]):.1f}",
                f"{np.mean([o.seconds for o in found]):.0f}",
                f"{np.mean([o.n_cells for o in found]):.1f}",
                f"{_collapsed(o.cell for o in found):.0%}",
            ]
        )
    rows.sort(key=lambda row: float(row[1]))
    heads = ["method", "regret", f"{OURS} minus it", "test accuracy, %", "units", "CPU s", "cells"]
    return [*table([*heads, "collapsed"], rows)]


def methods_at(results: Results, budget: int) -> list[str]:
    """List the methods that have something at a budget."""
    found = results.outcomes[results.pairs[0]]
    return [method for method, b in found if b == budget]


def _by_set(
    results: Results, method: str, budget: int, how: Callable[[str, Cell], float]
) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for dataset, seed in results.pairs:
        outcome = results.outcomes[dataset, seed][method, budget]
        values[dataset].append(how(dataset, outcome.cell))
    return values


def _over_sets(values: Mapping[str, Sequence[float]]) -> float:
    return float(np.mean([np.mean(of_set) for of_set in values.values()]))


def _difference(results: Results, method: str, budget: int) -> str:
    """Format the mean of ours minus the method's regret, and its interval over the sets."""
    if method == OURS or (OURS, budget) not in results.outcomes[results.pairs[0]]:
        return ""
    ours, theirs = (_by_set(results, m, budget, results.regret) for m in (OURS, method))
    means = np.array([np.mean(np.subtract(ours[d], theirs[d])) for d in ours])
    drawn = np.random.default_rng(0).integers(len(means), size=(_RESAMPLES, len(means)))
    low, high = np.quantile(means[drawn].mean(axis=1), [0.025, 0.975])
    return f"{means.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def _collapsed(cells: Iterable[Cell]) -> float:
    """Share of cells without a path, with three or more ``none`` left, or of skips alone."""
    return float(np.mean([_is_collapsed(cell) for cell in cells]))


def _is_collapsed(cell: Cell) -> bool:
    live = {op for op in cell if op != "none"}
    return cell.count("none") >= 3 or live == {"skip_connect"}


def runtime(results: Results) -> list[str]:
    """Hypothesis 2: until ours is as good as a one-shot method's cell, in shares of its time."""
    rows = []
    for budget in BUDGETS:
        for method in methods_at(results, budget):
            if method.split(":")[0] not in ONE_SHOT:
                continue
            ratios = np.array([_ratio(results, pair, method, budget) for pair in results.pairs])
            never = int(np.isinf(ratios).sum())
            median = float(np.quantile(ratios, 0.5, method="lower"))
            rows.append([method, str(budget), f"{median:.2f}", f"{never} of {len(ratios)}"])
    return [*table(["one-shot", "budget", f"{OURS}'s time / its time, median", "never"], rows)]


def _ratio(results: Results, pair: tuple[str, int], method: str, budget: int) -> float:
    """Compare the time until ours is as good with the time that the method spent."""
    outcome = results.outcomes[pair][method, budget]
    target = results.loss(pair[0], outcome.cell)
    for units, cell in results.curves[pair][OURS].changes():
        if results.loss(pair[0], cell) <= target:
            return units / outcome.units
    return np.inf


def consistency(results: Results) -> list[str]:
    """Hypothesis 3: ranks and regrets over image sets and budgets."""
    found = [key for key in results.outcomes[results.pairs[0]] if ":" not in key[0]]
    budgets = sorted({b for m, b in found if m in ONE_SHOT} or BUDGETS)
    shared = [
        m for m in dict.fromkeys(m for m, _ in found) if all((m, b) in found for b in budgets)
    ]
    regrets = {
        m: np.array(
            [
                [np.mean(v) for v in _by_set(results, m, b, results.regret).values()]
                for b in budgets
            ]
        )
        for m in shared
    }
    stacked = np.array([*regrets.values()])  # methods x budgets x sets
    ranks = 1 + (stacked[:, None] > stacked[None]).sum(axis=1)
    ties = (stacked[:, None] == stacked[None]).sum(axis=1) - 1
    ranks = ranks + ties / 2
    rows = [
        [
            method,
            f"{rank.mean():.2f}",
            f"{rank.mean(axis=0).std():.2f}",
            f"{rank.max():.1f}",
            f"{regret.max():.2f}",
            f"{(regret < _CLOSE).mean():.0%}",
        ]
        for method, rank, regret in zip(shared, ranks, stacked, strict=True)
    ]
    rows.sort(key=lambda row: float(row[1]))
    heads = ["method", "mean rank", "its deviation over sets", "worst rank", "worst regret"]
    return [*table([*heads, f"regret under {_CLOSE}"], rows)]


def by_set(results: Results, budget: int) -> list[str]:
    """List the regret of each method on each image set."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in results.pairs))
    rows = []
    for method in methods_at(results, budget):
        regrets = _by_set(results, method, budget, results.regret)
        rows.append([method, *(f"{np.mean(regrets[d]):.2f}" for d in datasets)])
    return [*table(["method", *datasets], rows)]


def past_costs(results: Results) -> list[str]:
    """List the CPU seconds of meta-training, and of a unit."""
    rows = []
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pair in results.pairs:
        for record in results.searches[pair]:
            if record.get("meta_cpu_seconds", 0) > 0:
                spent[record["method"]].append((record["meta_cpu_seconds"], record["unit"]))
    for method, values in spent.items():
        seconds, units = np.array(values).T
        rows.append([method, f"{seconds.mean():.0f}", f"{(seconds / units).mean():.0f}"])
    return [*table(["method", "CPU s before the first trial", "in units"], rows)]


def report(results: Results) -> str:
    """Format all tables; exit if there is no pair."""
    if not results.pairs:
        sys.exit("There is no image set with a seed on which every method of the file searched.")
    sets = dict.fromkeys(dataset for dataset, _ in results.pairs)
    seeds = {dataset: sum(d == dataset for d, _ in results.pairs) for dataset in sets}
    lines = ["Image sets and their seeds: " + ", ".join(f"{d} {n}" for d, n in seeds.items())]
    for budget in BUDGETS:
        lines += ["", f"## {budget} units", "", *at_budget(results, budget)]
    lines += ["", "## Runtime", "", *runtime(results)]
    lines += ["", "## Consistency", "", *consistency(results)]
    lines += ["", "## Before the first trial", "", *past_costs(results)]
    for budget in BUDGETS[1:]:
        lines += ["", f"## Regret by image set, {budget} units", "", *by_set(results, budget)]
    return "\n".join(lines)


def read(path: Path) -> list[Record]:
    """Read a file of records, which may be packed by xz."""
    with (lzma.open if path.suffix == ".xz" else open)(path, "rt") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="what python -m benchmarks.live wrote")
    print(report(Results(read(parser.parse_args().file))))


if __name__ == "__main__":
    main()
