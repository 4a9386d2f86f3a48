"""Does the data-set encoder help? Searches on the image sets whose images are known.

    python -m benchmarks.imagesets --seeds 3 --jobs 2 --out results/imagesets.jsonl

The package's own history is the table: on each image set, the NAS-Bench-201 cells that were
trained on it are all there is to find, and the other image sets are the past. TNAS as published
knows the data sets; ``ablation_no_dataset`` is the same without being told any. Values are minus
held-out log losses of one run, and regret is on them, so it is 0 once all cells were tried. The
file is as ``benchmarks.run`` writes it, for ``benchmarks.report``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.histories import Past
from benchmarks.run import drive
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from benchmarks.tasks import Evaluation
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import TNASSampler
from optuna_tnas.meta.history import Task
from optuna_tnas.meta.shipped import shipped_history


KNOWS_DATASETS = {"tnas_paper": True, "ablation_no_dataset": False}


class MeasuredTask:
    """The cells of one past study as a task to search on."""

    def __init__(self, task: Task) -> None:
        self._numbers = {row.tobytes(): i for i, row in enumerate(task.X)}
        self._values = task.y
        self.optimum = self.true_optimum = float(task.y.max())
        self.true_median = float(np.median(task.y))

    def evaluate(self, row: np.ndarray) -> Evaluation:
        number = self._numbers[row.tobytes()]
        value = float(self._values[number])
        return Evaluation(number, value, value)


@cache
def history() -> MetaDataset:
    return shipped_history()


def run_search(search: Search) -> list[Record]:
    """Learn from the other image sets, search on one, and record every trial."""
    target = next(task for task in history().tasks if task.name == search.target)
    past, dataset = history().without(search.target), target.dataset
    if not KNOWS_DATASETS[search.method]:
        past = replace(past, tasks=tuple(replace(task, dataset=None) for task in past.tasks))
        dataset = None
    surrogate = meta_train(past, preset="paper", seed=search.seed, progress=False)
    surrogate = surrogate.confined(target.X)
    sampler = TNASSampler(surrogate, dataset=dataset, seed=search.seed)
    steps = drive(sampler, surrogate.space, MeasuredTask(target), search.trials)
    return [{**search.key, **step} for step in steps]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="searches per method and image set")
    add("--trials", type=int, default=20, help="evaluations per search")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    searches = [
        Search("imagesets", task.name, method, seed, Past(len(task.y)), a.trials, Path())
        for seed in range(a.seeds)
        for task in history().tasks
        for method in KNOWS_DATASETS
    ]
    run(searches, a.out, a.jobs, run_search)


if __name__ == "__main__":
    main()
