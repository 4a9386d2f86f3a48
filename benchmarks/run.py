r"""Compare samplers on real tables; the tasks that are not searched on are the past.

    python -m benchmarks.run --space nasbench201 --target c10 --methods tnas,tpe \
        --seeds 10 --trials 50 --out results/c10.jsonl
    python -m benchmarks.run --space all --target all --methods tnas,tpe --out results/all.jsonl

Writes one JSON object a trial. The same command again, after whatever end, does just what is
missing; the file of several spaces, targets, methods and pasts may be one. What the methods learn
from the past is kept beside it, in results/c10.meta.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
import json
import lzma
from pathlib import Path
import sys
import time
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from tqdm import tqdm

from benchmarks import past_settings
from benchmarks import peers
from benchmarks import tasks
from benchmarks import workers
from benchmarks.common.arguments import listed
from benchmarks.common.files import replaced
from benchmarks.past_settings import past_studies
from benchmarks.past_settings import PastSetting
from benchmarks.tasks import Measurement
from benchmarks.tasks import SearchSpace
from benchmarks.tasks import SearchTask


Record = dict[str, Any]

# What tells a search's records from those of others; ``history_by`` to ``spoil`` came later, and
# a file from before has these values of them.
KEY = ("space", "target", "history", "history_by", "past", "spoil", "method", "seed")
_BEFORE: Record = {"history_by": "random", "past": None, "spoil": None}


@dataclass(frozen=True)
class Search:
    """One search: a method with one seed on one target."""

    space: str
    target: str
    method: str
    seed: int
    past: PastSetting
    trials: int
    cache: Path

    @property
    def key(self) -> Record:
        past = self.past
        values = (past.n, past.by, past.tasks, past.spoil, self.method, self.seed)
        return dict(zip(KEY, (self.space, self.target, *values), strict=True))


def run_search(search: Search) -> list[Record]:
    """Give the method the past, let it search, and record every trial."""
    family = tasks.load(search.space)
    sampler = peers.make(search.method, setting_of(search))
    steps = drive(sampler, family, family.tasks[search.target], search.trials)
    return [{**search.key, **step} for step in steps]


def setting_of(search: Search) -> peers.Setting:
    """Make the setting that the search's method is given."""
    family, past = tasks.load(search.space), search.past
    kept = search.cache / f"{search.space}-past"
    history = past_studies(family, search.target, past, search.seed, kept)
    folder = f"{search.space}-{search.target}-{past}-seed{search.seed}"
    hyperparameters = {name: h.distribution for name, h in family.hyperparameters.items()}
    cache = search.cache / folder
    return peers.Setting(family.space, history, search.seed, cache, hyperparameters)


def drive(
    sampler: BaseSampler,
    space: SearchSpace,
    task: SearchTask,
    n_trials: int,
    first: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Record]:
    """Ask, look up and tell; the sampler sees the values of its own trials only.

    The parameters ``first`` are tried before the sampler is asked.
    """
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for params in first:
        study.enqueue_trial(dict(params))
    best: Measurement | None = None
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
    task: SearchTask, number: int, found: Measurement, best: Measurement, seconds: float
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
    """Read a file's records, which may be packed by xz, without a last line that was cut off."""
    if not path.exists():
        return []
    with (lzma.open if path.suffix == ".xz" else open)(path, "rt") as file:
        lines = file.read().split("\n")[:-1]  # the last one has no end, or is empty
    return [{**_BEFORE, **json.loads(line)} for line in lines]


def _write(path: Path, records: Sequence[Record]) -> None:
    """Replace the file by these records, in an order that does not depend on who was first."""
    ordered = sorted(records, key=lambda r: [(r[k] is not None, r[k]) for k in (*KEY, "trial")])
    with replaced(path) as file:
        file.writelines(f"{json.dumps(record)}\n".encode() for record in ordered)


def _append(path: Path, records: Sequence[Record]) -> None:
    with path.open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records))


# --- many searches --------------------------------------------------------------------------


def run(
    searches: Sequence[Search],
    out: Path,
    jobs: int,
    how: Callable[[Search], list[Record]] = run_search,
) -> None:
    """Run the searches that the file does not hold yet, in ``jobs`` processes.

    Raises:
        TableError: If the file's records come from another table.
    """
    records = read_records(out)
    for space in {search.space for search in searches} & tasks.FAMILIES.keys():
        _check_table(space, records)
    done = Counter(map(_key, records))
    missing = {_key(s.key): s for s in searches if done[_key(s.key)] < s.trials}
    _write(out, [record for record in records if _key(record) not in missing])
    initial = len(searches) - len(missing)
    with (
        tqdm(total=len(searches), initial=initial, unit="search") as bar,
        workers.pool(jobs) as pool,
    ):
        for finished in workers.finished(pool, how, list(missing.values())):
            _append(out, finished)
            bar.update()
    _write(out, read_records(out))


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in KEY)


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--space",
        required=True,
        help=f"families: {', '.join(tasks.FAMILIES)}, or all of architectures alone",
    )
    add("--target", required=True, help="tasks to search on, or all; the others are the past")
    add("--methods", required=True, help=f"of: {', '.join(peers.names())}")
    add("--seeds", type=_positive, default=10, help="searches per method, seeds 0, 1, ...")
    add("--trials", type=_positive, default=50, help="evaluations per search")
    add("--history", type=_positive, default=200, help="trials of each past task")
    add("--history-by", choices=past_settings.BY, default="random", help="who made them")
    add("--past", type=_positive, help="how many past tasks, other ones for each seed")
    add("--spoil", choices=past_settings.SPOILS, help="what is wrong with the past")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=_positive, default=1, help="processes of one thread each")
    return parser.parse_args()


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _searches(a: argparse.Namespace) -> list[Search]:
    """List the searches seed by seed, so that an unfinished file has a bit of everything."""
    past = PastSetting(a.history, a.history_by, a.past, a.spoil)
    # NAS-Bench-201's other family holds its tasks too; of a joint search all methods are others.
    spaces = listed("space", a.space, tasks.FAMILIES, but=("nasbench201", *tasks.JOINT))
    known = [(space, target) for space in spaces for target in tasks.load(space).tasks]
    targets = listed("target", a.target, dict.fromkeys(target for _, target in known))
    methods = {space: _methods(a.methods, space) for space in spaces}
    for space in spaces:
        past.check(tasks.load(space))
    return [
        Search(space, target, method, seed, past, a.trials, a.out.with_suffix(".meta"))
        for seed in range(a.seeds)
        for space, target in known
        if target in targets
        for method in methods[space]
    ]


def _methods(text: str, space: str) -> list[str]:
    """List the methods for a family; ``all`` are those that search all that it searches.

    Exits if one of the others is named.
    """
    joint = bool(tasks.load(space).hyperparameters)
    able = peers.JOINT if joint else set(peers.names()) - peers.OF_DATASETS
    methods = listed("method", text, peers.names(), but=set(peers.names()) - able)
    if wrong := [name for name in methods if name not in able]:
        why = "searches no hyper-parameters" if joint else "reads data sets"
        has = "has" if joint else "does not have"
        sys.exit(f"{wrong[0]} {why}, which {space} {has}; choose of {', '.join(sorted(able))}.")
    return methods


def main() -> None:
    arguments = _arguments()
    try:
        run(_searches(arguments), arguments.out, arguments.jobs)
    except tasks.TableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
