"""Compare samplers on real tables; the tasks that are not searched on are the past.

    python -m benchmarks.run --space nasbench201 --target c10 --methods tnas,tpe \
        --seeds 10 --trials 50 --out results/c10.jsonl

Writes one JSON object a trial. The same command again, after whatever end, does just what is
missing; the file of several spaces, targets and methods may be one. What the methods learn from
the past is kept beside it, in results/c10.meta.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
import json
import os
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from tqdm import tqdm

from benchmarks import peers
from benchmarks import tasks
from benchmarks import workers
from benchmarks.histories import past_studies
from benchmarks.tasks import Evaluation
from benchmarks.tasks import Task
from optuna_tnas.spaces import Space


Record = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """One search: a method with one seed on one target."""

    space: str
    target: str
    method: str
    seed: int
    history: int
    trials: int
    cache: Path

    @property
    def key(self) -> Record:
        """What tells its records from those of other searches."""
        names = ("space", "target", "history", "method", "seed")
        return {name: getattr(self, name) for name in names}

    def has(self, record: Record) -> bool:
        return self.key.items() <= record.items()


def run_search(search: Search) -> list[Record]:
    """Give the method the past, let it search, and record every trial."""
    family = tasks.load(search.space)
    history = past_studies(family, search.target, search.history, search.seed)
    folder = f"{search.space}-{search.target}-history{search.history}-seed{search.seed}"
    setting = peers.Setting(family.space, history, search.seed, search.cache / folder)
    sampler = peers.make(search.method, setting)
    steps = drive(sampler, family.space, family.tasks[search.target], search.trials)
    return [{**search.key, **step} for step in steps]


def drive(sampler: BaseSampler, space: Space, task: Task, n_trials: int) -> Iterator[Record]:
    """Ask, look up, tell; the sampler sees the values of its own trials only."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    best: Evaluation | None = None
    for number in range(n_trials):
        start = time.perf_counter()
        trial = study.ask()
        params = space.suggest(trial)
        asked = time.perf_counter()
        found = task.evaluate(space.encode(params))
        looked_up = time.perf_counter()
        study.tell(trial, found.value)
        seconds = asked - start + time.perf_counter() - looked_up
        if best is None or found.value > best.value:
            best = found
        yield _record(task, number, found, best, seconds)


def _record(
    task: Task, number: int, found: Evaluation, best: Evaluation, seconds: float
) -> Record:
    return {
        "trial": number,
        "network": found.network,
        "value": found.value,
        "best_value": best.value,
        "optimum": task.optimum,
        "best_true": best.true,
        "regret": tasks.regret(task, best.true),
        "seconds": round(seconds, 6),
    }


# --- the file -------------------------------------------------------------------------------


def read_records(path: Path) -> list[Record]:
    """The file's records; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]  # the last one has no end, or is empty


def _write(path: Path, records: Sequence[Record]) -> None:
    """Replace the file by these records, in an order that does not depend on who was first."""
    keys = ("space", "target", "history", "method", "seed", "trial")
    ordered = sorted(records, key=lambda record: tuple(record[k] for k in keys))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w") as file:
        file.writelines(json.dumps(record) + "\n" for record in ordered)
    os.chmod(name, 0o644)
    os.replace(name, path)


def _append(path: Path, records: Sequence[Record]) -> None:
    with path.open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records))


# --- many searches --------------------------------------------------------------------------


def run(searches: Sequence[Search], out: Path, jobs: int) -> None:
    """Run the searches that the file does not hold yet, in ``jobs`` processes.

    Raises:
        TableError: If the file's records come from another table.
    """
    records = read_records(out)
    for space in {search.space for search in searches}:
        _check_table(space, records)
    missing = []
    for search in searches:
        own = [record for record in records if search.has(record)]
        if len(own) < search.trials:
            missing.append(search)
            records = [record for record in records if not search.has(record)]
    _write(out, records)
    with tqdm(total=len(searches), initial=len(searches) - len(missing), unit="search") as bar:
        for finished in _finished(missing, jobs):
            _append(out, finished)
            bar.update()
    _write(out, read_records(out))


def _check_table(space: str, records: Sequence[Record]) -> None:
    """Refuse to mix tables, in the file and in what was learned from them."""
    known = tasks.load(space).tasks
    for record in records:
        target = record["target"]
        if record["space"] == space and record["optimum"] != known[target].optimum:
            raise tasks.TableError(
                f"The file has searches on {space} {target} of another table; its optimum "
                "differs. Give another --out, or the OPTUNA_TNAS_DATA of then."
            )


def _finished(searches: Sequence[Search], jobs: int) -> Iterator[list[Record]]:
    """Each search's records, as soon as it is done."""
    with workers.pool(jobs) as pool:
        try:
            for future in as_completed([pool.submit(run_search, s) for s in searches]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--space", required=True, choices=sorted(tasks.FAMILIES), help="family of tasks")
    add("--target", required=True, help="the task to search on; the others are the past")
    add("--methods", required=True, help=f"separated by commas, of: {', '.join(peers.names())}")
    add("--seeds", type=int, default=10, help="searches per method, seeds 0, 1, ...")
    add("--trials", type=int, default=50, help="evaluations per search")
    add("--history", type=int, default=200, help="random trials of each past task")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    return parser.parse_args()


def _searches(a: argparse.Namespace) -> list[Search]:
    known, methods = tasks.load(a.space).tasks, a.methods.split(",")
    if a.target not in known:
        sys.exit(f"{a.space} has no target {a.target!r}; choose one of {', '.join(known)}.")
    if unknown := sorted(set(methods) - set(peers.names())):
        sys.exit(f"There is no method {unknown[0]!r}; choose of {', '.join(peers.names())}.")
    cache = a.out.with_suffix(".meta")
    return [
        Search(a.space, a.target, method, seed, a.history, a.trials, cache)
        for seed in range(a.seeds)
        for method in dict.fromkeys(methods)
    ]


def main() -> None:
    arguments = _arguments()
    try:
        run(_searches(arguments), arguments.out, arguments.jobs)
    except tasks.TableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
