"""Do two versions search alike? Records of the same searches, made before and after a change.

    python -m benchmarks.questions.two_versions BEFORE.jsonl.xz AFTER.jsonl [--method tnas]

Both files are of :mod:`benchmarks.run`; searches that one of them lacks are left out. Prints, for
each family, how many searches evaluate the same networks to the end, after how many evaluations
the others part (quartiles), and the regret after minus before with its interval, where there
are several seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common.markdown import table
from benchmarks.report.results import all_results
from benchmarks.report.results import Results
from benchmarks.report.statistics import interval
from benchmarks.report.statistics import known_mean
from benchmarks.report.statistics import quartiles
from benchmarks.run import read_records
from benchmarks.run import Record


BUDGETS = (1, 5, 10, 20, 50, 100, 200, 300)
BEFORE, AFTER = "before", "after"


def paired(before: Iterable[Record], after: Iterable[Record], method: str) -> list[Results]:
    """Read the searches that both files have, one :class:`Results` a kind of past."""
    versions = {BEFORE: before, AFTER: after}
    named = [
        {**record, "method": version}
        for version, records in versions.items()
        for record in records
        if record["method"] == method
    ]
    both = [_shared(results) for results in all_results(named)]
    return [results for results in both if np.isfinite(results.regret).any()]


def _shared(results: Results) -> Results:
    """Empty the searches that one version lacks, and trials that one did not get to."""
    there = np.isfinite(results.regret).all(axis=0) & (len(results.methods) == 2)
    blank = {
        name: np.where(there, getattr(results, name), np.nan) for name in ("regret", "network")
    }
    return replace(results, **blank)


def parting(network: np.ndarray) -> np.ndarray:
    """After how many evaluations the searches part: ``2 x T x S x K`` -> those there are.

    Infinity where they never do.
    """
    there = np.isfinite(network[0, :, :, 0])
    differ = (network[0] != network[1]) & np.isfinite(network[0])
    first = np.where(differ.any(axis=-1), differ.argmax(axis=-1), np.inf)
    return np.asarray(first[there])


def rows(results: Results) -> Iterator[Sequence[str]]:
    """A row for all tasks, if there are several families, and for each family."""
    for scope, targets in results.scopes.items():
        known = [t for t in targets if _is_known(results, t)]
        if known:
            yield _row(scope, results.on(known))


def _is_known(results: Results, target: object) -> bool:
    return bool(np.isfinite(results.regret[:, list(results.targets).index(target)]).any())


def _row(scope: str, part: Results) -> list[str]:
    order = [part.methods.index(version) for version in (BEFORE, AFTER)]
    apart = parting(part.network[order])
    low, median, high = quartiles(apart)
    same = f"{np.isinf(apart).sum()} of {len(apart)}"
    difference = part.regret[order[1]] - part.regret[order[0]]
    return [scope, same, f"{median:.0f} ({low:.0f} to {high:.0f})", *_changes(part, difference)]


def _changes(part: Results, difference: np.ndarray) -> list[str]:
    columns = [b - 1 for b in BUDGETS if b <= difference.shape[-1]]
    at = difference[:, :, columns]
    means = part.weights @ known_mean(at, axis=1)
    ends = interval(at, part.weights).T
    cells = [
        f"{mean:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else "")
        for mean, (low, high) in zip(means, ends, strict=True)
    ]
    return cells + ["-"] * (len(BUDGETS) - len(cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--method", default="tnas")
    a = parser.parse_args()
    records = (read_records(path) for path in (a.before, a.after))
    heads = ["tasks", "same searches", "they part after", *(f"at {b}" for b in BUDGETS)]
    for results in paired(*records, a.method):
        print("\n".join(table(heads, rows(results), aligned=True)))


if __name__ == "__main__":
    main()
