"""Report one-shot and black-box searches at equal CPU time.

    python -m benchmarks.live.report live.jsonl [--methods tnas,drnas,...] [--figures DIR]

Only (image set, seed) pairs on which every method searched count, of the file or of those given,
so that all means are over the same pairs. A found cell's figures are the mean of its trainings
anew, on the test images. Regret is (loss - best) / (median - best) of test log losses: the median
of the random cells, the best of them and of all that were trained anew. Intervals are bootstrapped
over the image sets, each with its seeds. ``METHOD:no_none`` derives the cell from the same alpha
without ``none``; ``METHOD:recommended`` is the tried cell with the best posterior mean.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import json
import lzma
from pathlib import Path
import sys

import numpy as np

from benchmarks.common.markdown import table
from benchmarks.live.results import BUDGETS
from benchmarks.live.results import Results
from benchmarks.live.rivals import ONE_SHOT
from benchmarks.live.store import Record
from benchmarks.live.supernet import Cell
from benchmarks.report.statistics import interval
from benchmarks.report.statistics import ranks


OURS = "tnas"
_CLOSE = 0.1  # regret


def at_budget(results: Results, budget: int) -> list[str]:
    """Compare all methods at a budget: a table."""
    rows = []
    for method in results.methods_at(budget):
        found = [results.outcomes[pair][method, budget] for pair in results.pairs]
        regrets = results.regrets(method, budget)
        accuracies = results.accuracies(method, budget)
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


def _over_sets(values: Mapping[str, Sequence[float]]) -> float:
    return float(np.mean([np.mean(of_set) for of_set in values.values()]))


def _difference(results: Results, method: str, budget: int) -> str:
    """Format the mean of ours minus the method's regret, and its interval over the sets."""
    if method == OURS or (OURS, budget) not in results.outcomes[results.pairs[0]]:
        return ""
    ours, theirs = (results.regrets(m, budget) for m in (OURS, method))
    means = np.array([np.mean(np.subtract(ours[d], theirs[d])) for d in ours])
    if len(means) < 2:
        return f"{means.mean():+.3f}"
    (low,), (high,) = interval(means[None, :, None], np.ones(1))  # of sets instead of seeds
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
        for method in results.methods_at(budget):
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
    methods, regret = shared_regrets(results)
    rank = ranks(regret)[:, :, 0]
    regret = regret[:, :, 0]
    rows = [
        [
            method,
            f"{rank[m].mean():.2f}",
            f"{rank[m].mean(axis=1).std():.2f}",
            f"{rank[m].max():.1f}",
            f"{regret[m].max():.2f}",
            f"{(regret[m] < _CLOSE).mean():.0%}",
        ]
        for m, method in enumerate(methods)
    ]
    rows.sort(key=lambda row: float(row[1]))
    heads = ["method", "mean rank", "its deviation over sets", "worst rank", "worst regret"]
    return [*table([*heads, f"regret under {_CLOSE}"], rows)]


def shared_regrets(results: Results) -> tuple[list[str], np.ndarray]:
    """Stack mean regrets at the budgets that all methods have: methods x sets x 1 x budgets."""
    found = [key for key in results.outcomes[results.pairs[0]] if ":" not in key[0]]
    budgets = sorted({b for m, b in found if m in ONE_SHOT} or BUDGETS)
    names = dict.fromkeys(method for method, _ in found)
    methods = [m for m in names if all((m, b) in found for b in budgets)]
    means = [
        [[np.mean(v) for v in results.regrets(m, b).values()] for b in budgets] for m in methods
    ]
    return methods, np.swapaxes(means, 1, 2)[:, :, None]


def by_set(results: Results, budget: int) -> list[str]:
    """List the regret of each method on each image set."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in results.pairs))
    rows = []
    for method in results.methods_at(budget):
        regrets = results.regrets(method, budget)
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


def of_methods(records: Sequence[Record], methods: str | None) -> list[Record]:
    """Leave out the searches of other methods; ``random`` is the scale of regret, and stays."""
    if methods is None:
        return [*records]
    kept = {"random", *methods.split(",")}
    return [r for r in records if r["kind"] == "training" or r["method"] in kept]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="what python -m benchmarks.live wrote")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="draw DIR/live_*.png, too")
    parser.add_argument("--methods", help="which are compared, with commas; else all of the file")
    a = parser.parse_args()
    results = Results(of_methods(read(a.file), a.methods))
    print(report(results))
    if a.figures is not None:
        from benchmarks.live.figures import draw  # matplotlib

        draw(results, a.figures)


if __name__ == "__main__":
    main()
