"""How fast by the clock do many workers find a good network?

    python -m benchmarks.questions.asynchronous --target c100 --workers 1,8,64,256 --seeds 3 \
        --out asynchronous.jsonl

An hour of search on NAS-Bench-201 in simulated time: each worker asks for a network, trains it for
as long as the table says relative to the others (``--minutes`` on average, from the seconds of 12
epochs on CIFAR-10), tells its accuracy and asks for the next one. What a suggestion itself takes
does not count. ``tnas`` learns from 200 random trials on each of the other two image sets. Writes
one JSON object a trial that ended within the hour, in their order; given the same command again it
does what is missing. Prints the mean regret, and its standard error over the seeds, at some times.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from functools import partial
from heapq import heappop
from heapq import heappush
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from benchmarks import peers
from benchmarks import tasks
from benchmarks.common.markdown import table
from benchmarks.past_settings import PastSetting
from benchmarks.run import read_records
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import Measurement
from benchmarks.tasks import reading
from benchmarks.tasks import SearchSpace
from benchmarks.tasks import SearchTask


FAMILY = "nasbench201"
TIMES = (15, 30, 45, 60)  # minutes
_AT = "@"  # between a method and the number of workers, in a record's method


@cache
def minutes(mean: float) -> np.ndarray:
    """Training times by network, with the given mean."""
    seconds = reading.table("nasbench201")["c10_cost12_s"].to_numpy()
    return np.asarray(mean * seconds / seconds.mean())


def simulate(
    sampler: BaseSampler,
    space: SearchSpace,
    task: SearchTask,
    training: np.ndarray,
    n_workers: int,
    horizon: float,
) -> Iterator[tuple[float, Measurement]]:
    """Search with workers that train at the same time.

    Args:
        sampler: Asked for the next network whenever a worker is free.
        space: What is searched.
        task: Tells what a network is worth.
        training: Minutes that each network takes.
        n_workers: How many train at the same time.
        horizon: Minutes after which nothing counts.

    Yields:
        When a trial ended and what it measured, in the order of time.
    """
    study = optuna.create_study(direction="maximize", sampler=sampler)
    running: list[tuple[float, int, Measurement]] = []  # the first to end is first
    trials: dict[int, optuna.Trial] = {}

    def start(now: float) -> None:
        trial = study.ask()
        found = task.evaluate(space.encode(space.suggest(trial)))
        trials[trial.number] = trial
        heappush(running, (now + training[found.network], trial.number, found))

    for _ in range(n_workers):
        start(0.0)
    while running[0][0] <= horizon:
        now, number, found = heappop(running)
        study.tell(trials.pop(number), found.value)
        yield now, found
        start(now)


def run_search(search: Search, mean: float) -> list[Record]:
    """Search, and record what ended within the hour."""
    method, _, n_workers = search.method.partition(_AT)
    family = tasks.load(FAMILY)
    task, best, records = family.tasks[search.target], None, []
    sampler = peers.make(method, setting_of(replace(search, method=method)))
    ended = simulate(sampler, family, task, minutes(mean), int(n_workers), max(TIMES))
    for number, (now, found) in enumerate(ended):
        if best is None or found.value > best.value:
            best = found
        found_so_far = {"minute": round(now, 3), "regret": tasks.regret(task, best.true)}
        about = {"trial": number, "network": found.network, "optimum": task.optimum}
        records.append({**search.key, **about, **found_so_far})
    return records


def regret_at(records: Sequence[Record], time: float) -> float:
    """Find the regret of one search's records at a time; NaN before the first trial ended."""
    ended = [record["regret"] for record in records if record["minute"] <= time]
    return ended[-1] if ended else np.nan


def rows(searches: Mapping[str, Mapping[int, Sequence[Record]]]) -> Iterator[Sequence[str]]:
    """A row for each method and number of workers: by name, by seed, records in their order."""
    for name, by_seed in searches.items():
        method, _, n_workers = name.partition(_AT)
        regrets = np.array([[regret_at(r, t) for t in TIMES] for r in by_seed.values()])
        n_trials = np.mean([len(records) for records in by_seed.values()])
        yield [n_workers, method, str(len(by_seed)), f"{n_trials:.0f}", *map(_cell, regrets.T)]


def _cell(regrets: np.ndarray) -> str:
    known = regrets[np.isfinite(regrets)]
    if len(known) < len(regrets):
        return "-"
    error = f" ± {known.std(ddof=1) / len(known) ** 0.5:.3f}" if len(known) > 1 else ""
    return f"{known.mean():.3f}{error}"


def _by_search(
    records: Sequence[Record], target: str, names: Sequence[str]
) -> dict[str, dict[int, list[Record]]]:
    found: dict[str, dict[int, list[Record]]] = {}
    for name in names:
        for record in records:
            if record["method"] == name and record["target"] == target:
                found.setdefault(name, {}).setdefault(record["seed"], []).append(record)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--target", default="c100", choices=["c10", "c100", "in16"])
    add("--methods", default="tnas,gp,random")
    add("--workers", default="1,8,64,256", help="numbers of workers, with commas")
    add("--minutes", type=float, default=15.0, help="of a training, on average")
    add("--seeds", type=int, default=3, help="searches per method and number of workers")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    names = [f"{m}{_AT}{n}" for n in a.workers.split(",") for m in a.methods.split(",")]
    past, folder = PastSetting(), a.out.with_suffix(".meta")
    searches = [
        Search(FAMILY, a.target, name, seed, past, 1, folder)
        for seed in range(a.seeds)
        for name in names
    ]
    run(searches, a.out, a.jobs, partial(run_search, mean=a.minutes))
    found = _by_search(read_records(a.out), a.target, names)
    heads = ["workers", "method", "seeds", "trials", *(f"{t} minutes" for t in TIMES)]
    print("\n".join(table(heads, rows(found))))


if __name__ == "__main__":
    main()
