"""Tables of what ``benchmarks.run`` wrote: ``python -m benchmarks.report F.jsonl ...``."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.run import read_records
from benchmarks.run import Record


EVALUATIONS = (1, 5, 10, 20, 50, 100)
CLOSE = 0.1  # points below the optimum of what is searched that count as reaching it

Searches = list[list[Record]]  # of one method: each search's records, by trial
Row = list[str]


def report(records: Iterable[Record]) -> Iterator[str]:
    """Two Markdown tables for each space, target and history."""
    for (space, target, history), methods in _grouped(records).items():
        optimum = next(iter(methods.values()))[0][0]["optimum"]
        yield f"## {space} {target}, {history} past trials a task\n"
        yield "Normalized regret, (best - found) / (best - median) of the true values: mean ± "
        yield "standard deviation over the seeds, after so many evaluations.\n"
        yield from regret_table(methods)
        yield f"\nEvaluations to reach {CLOSE} points below the optimum of the searched values, "
        yield f"{optimum:.2f}: median (quartiles). Repeats: trials of a network tried before.\n"
        yield from effort_table(methods)
        yield ""


def _grouped(records: Iterable[Record]) -> dict[tuple[str, str, int], dict[str, Searches]]:
    groups: dict[tuple[str, str, int], dict[str, dict[int, list[Record]]]] = {}
    for r in records:
        methods = groups.setdefault((r["space"], r["target"], r["history"]), {})
        methods.setdefault(r["method"], defaultdict(list))[r["seed"]].append(r)
    return {
        group: {
            method: [sorted(s, key=lambda r: r["trial"]) for s in searches.values()]
            for method, searches in methods.items()
        }
        for group, methods in groups.items()
    }


def regret_table(methods: dict[str, Searches]) -> list[str]:
    longest = max(len(search) for searches in methods.values() for search in searches)
    shown = [n for n in EVALUATIONS if n <= longest]
    rows = [
        [method, str(len(searches)), *(_regret(searches, n) for n in shown)]
        for method, searches in methods.items()
    ]
    return _table(["method", "seeds", *map(str, shown)], rows)


def _regret(searches: Searches, n: int) -> str:
    regrets = [search[n - 1]["regret"] for search in searches if len(search) >= n]
    return f"{np.mean(regrets):.4f} ± {np.std(regrets):.4f}" if regrets else "-"


def effort_table(methods: dict[str, Searches]) -> list[str]:
    heads = ["method", "evaluations", "reached", "best value", "s per suggestion", "repeats"]
    return _table(heads, [[method, *_effort(searches)] for method, searches in methods.items()])


def _effort(searches: Searches) -> Row:
    needed = [evaluations_needed(search) for search in searches]
    lower, median, upper = quartiles(needed)
    seconds = [r["seconds"] for search in searches for r in search]
    return [
        f"{median:g} ({lower:g} to {upper:g})",
        f"{np.isfinite(needed).sum()}/{len(needed)}",
        f"{np.mean([search[-1]['best_value'] for search in searches]):.3f}",
        f"{np.median(seconds):.4f}",
        f"{np.mean([repeats(search) for search in searches]):.1f}",
    ]


def evaluations_needed(search: Sequence[Record]) -> float:
    """How many evaluations came within ``CLOSE`` of the optimum; infinite if none did."""
    reached = (r["trial"] + 1 for r in search if r["best_value"] >= r["optimum"] - CLOSE - 1e-9)
    return float(min(reached, default=np.inf))


def quartiles(needed: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; those that fall among infinite ones are so too."""
    never = 1e12
    low, median, high = np.quantile(np.minimum(needed, never), [0.25, 0.5, 0.75])
    largest = max((n for n in needed if np.isfinite(n)), default=0.0)
    finite = [float(q) if q <= largest else np.inf for q in (low, median, high)]
    return finite[0], finite[1], finite[2]


def repeats(search: Sequence[Record]) -> int:
    return len(search) - len({r["network"] for r in search})


def _table(heads: Row, rows: Sequence[Row]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="written by benchmarks.run")
    files = parser.parse_args().files
    if missing := [file for file in files if not file.exists()]:
        parser.error(f"there is no file {missing[0]}")
    print("\n".join(report(record for file in files for record in read_records(file))))


if __name__ == "__main__":
    main()
