"""Tables and curves of what ``benchmarks.run`` wrote: ``python -m benchmarks.report F.jsonl ...``.

For every kind of past in the files, over all families and for each: regret, the best rival, ranks
and effort.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import asdict
import json
import math
from pathlib import Path
import sys
from typing import Any

from benchmarks.report.figures import Scope
from benchmarks.report.figures import scope
from benchmarks.report.results import all_results
from benchmarks.report.results import Results
from benchmarks.report.tables import in_words
from benchmarks.report.tables import LEGEND
from benchmarks.report.tables import scope_tables
from benchmarks.report.tables import target_tables
from benchmarks.run import read_records
from benchmarks.tasks import TableError


def scopes(results: Results, ours: str, kin: Sequence[str]) -> list[Scope]:
    """Compare over all families, if there are several, and within each."""
    return [scope(name, results, t, ours, kin) for name, t in results.scopes.items()]


def markdown(
    all_results: Sequence[Results], ours: str, kin: Sequence[str], by_task: bool
) -> Iterator[str]:
    yield LEGEND
    for results in all_results:
        yield f"# {in_words(results.past)}\n"
        for figures in scopes(results, ours, kin):
            yield from scope_tables(figures, ours)
        if by_task:
            for target in results.targets:
                yield from target_tables(results, target)


def as_json(all_results: Sequence[Results], ours: str, kin: Sequence[str]) -> str:
    """Format the same figures as JSON; null for what is missing or infinite."""
    groups = [
        {"past": asdict(r.past), "scopes": [asdict(figures) for figures in scopes(r, ours, kin)]}
        for r in all_results
    ]
    return json.dumps(_finite(groups), indent=1)


def _finite(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _finite(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [_finite(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    add = parser.add_argument
    add("files", nargs="+", type=Path, help="written by benchmarks.run")
    add(
        "--ours",
        default="tnas",
        help="the method that rivals are compared to; after commas its variants, no rivals",
    )
    add("--tasks", action="store_true", help="also three tables for each task")
    add("--json", action="store_true", help="the figures as JSON")
    add("--curves", type=Path, metavar="DIR", help="draw DIR/regret.png and DIR/rank.png")
    add("--methods", help="whose curves are drawn, separated by commas; else ours and the best")
    arguments = parser.parse_args()
    if missing := [file for file in arguments.files if not file.exists()]:
        parser.error(f"there is no file {missing[0]}")
    return arguments


def main() -> None:
    a = _arguments()
    ours, *kin = a.ours.split(",")
    try:
        groups = all_results(record for file in a.files for record in read_records(file))
    except TableError as error:
        sys.exit(str(error))
    if not groups:
        sys.exit(f"There are no records in {', '.join(map(str, a.files))}.")
    print(
        as_json(groups, ours, kin) if a.json else "\n".join(markdown(groups, ours, kin, a.tasks))
    )
    if a.curves:
        from benchmarks.report.curves import draw

        draw(groups, ours, a.methods.split(",") if a.methods else [], a.curves)


if __name__ == "__main__":
    main()
