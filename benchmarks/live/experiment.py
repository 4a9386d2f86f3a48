"""Do the trainings and searches that are missing; see :mod:`benchmarks.live.__main__`."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
import json
from pathlib import Path
from time import process_time

import numpy as np
from tqdm import tqdm

from benchmarks import peers
from benchmarks import workers
from benchmarks.common.files import replaced
from benchmarks.common.networks import distinct
from benchmarks.live import blackbox
from benchmarks.live import oneshot
from benchmarks.live import trainings
from benchmarks.live.blackbox import SPACE
from benchmarks.live.past import setting_of
from benchmarks.live.rivals import ONE_SHOT
from benchmarks.live.store import Record
from benchmarks.live.store import Store
from benchmarks.live.supernet import Cell
from benchmarks.live.trainings import Trainings
from optuna_tnas.demo.cell_training import Recipe


N_REFERENCE = 60
UNITS = 50  # that black-box methods search
ANEW = (1000, 1001, 1002)  # seeds
RECIPE = Recipe()


@dataclass(frozen=True)
class Search:
    """A search on an image set; ``epochs`` are of a one-shot method."""

    dataset: str
    method: str
    seed: int
    epochs: int | None
    folder: Path

    @property
    def key(self) -> tuple[object, ...]:
        """Where the search is kept."""
        return "searches", self.dataset, self.method, self.seed, self.epochs or UNITS

    @property
    def trainings(self) -> Trainings:
        """The trainings on the image set."""
        return Trainings(self.dataset, RECIPE, Store(self.folder))


def reference() -> list[Cell]:
    """Draw the random cells, the same for all image sets and seeds; all are different networks."""
    X = distinct(SPACE, SPACE.sample(2 * N_REFERENCE, np.random.default_rng(0)))
    return [trainings.pruned(blackbox.cell_of(row)) for row in X[:N_REFERENCE]]


def unit_of(search: Search) -> float:
    """Average the CPU seconds of the random cells' trainings with the search's seed."""
    train = search.trainings.train
    return float(np.mean([train(cell, search.seed).cpu_seconds for cell in reference()]))


# --- the searches ---------------------------------------------------------------------------


def run_search(search: Search) -> None:
    """Search unless that is done."""
    make: Callable[[Search], Record] = one_shot if search.method in ONE_SHOT else black_box
    Store(search.folder).get(search.key, lambda: {**_described(search), **make(search)})


def _described(search: Search) -> Record:
    return {
        "kind": "search",
        "dataset": search.dataset,
        "method": search.method,
        "seed": search.seed,
        "unit": unit_of(search),
    }


def one_shot(search: Search) -> Record:
    """Search with a shared network; training the found cell is charged, too."""
    assert search.epochs is not None
    data = search.trainings
    found = oneshot.search(ONE_SHOT[search.method], data.parts, RECIPE, search.epochs, search.seed)
    last = [data.train(cell, search.seed).cpu_seconds for cell in found.cells]
    return {
        "epochs": search.epochs,
        "cells": [list(cell) for cell in found.cells],
        "cpu_seconds": [a + b for a, b in zip(found.cpu_seconds, last, strict=True)],
        "wall_seconds": found.wall_seconds,
        "alpha": found.alpha,
    }


def black_box(search: Search) -> Record:
    """Search with a sampler until the units are spent."""
    if search.method == "random":
        return {"meta_cpu_seconds": 0.0, "steps": _random_steps(search)}
    setting = setting_of(search.dataset, search.seed, search.folder / "learned")
    start = process_time()
    sampler = peers.make(search.method, setting)
    meta = process_time() - start
    end = UNITS * unit_of(search)
    steps = blackbox.search(sampler, search.trainings, search.seed, end)
    return {"meta_cpu_seconds": meta, "steps": [_step(s) for s in steps]}


def _step(step: blackbox.Step) -> Record:
    return {
        "cell": list(step.cell),
        "recommended": list(step.recommended),
        "validation_loss": step.trained.validation_loss,
        "cpu_seconds": step.cpu_seconds,
    }


def _random_steps(search: Search) -> list[Record]:
    """Take the random cells in an order of the seed's own, until the units are spent."""
    steps: list[Record] = []
    cells, spent, best = reference(), 0.0, (np.inf, 0)
    for i in np.random.default_rng(search.seed).permutation(len(cells)).tolist():
        trained = search.trainings.train(cells[i], search.seed)
        spent += trained.cpu_seconds
        best = min(best, (trained.validation_loss, i))
        steps.append(_step(blackbox.Step(cells[i], trained, spent, cells[best[1]])))
    return steps


# --- trained anew ---------------------------------------------------------------------------


def found_cells(record: Record) -> list[Cell]:
    """List the cells of a search that were the best at some time, or were recommended then."""
    if "cells" in record:
        return [tuple(cell) for cell in record["cells"]]
    cells, best = [], np.inf
    for step in record["steps"]:
        cells.append(tuple(step["recommended"]))
        if step["validation_loss"] < best:
            best = step["validation_loss"]
            cells.append(tuple(step["cell"]))
    return [*dict.fromkeys(cells)]


@dataclass(frozen=True)
class CellTraining:
    """A cell to train with one seed."""

    dataset: str
    cell: Cell
    seed: int
    folder: Path


def run_training(wanted: CellTraining) -> None:
    """Train unless that is done."""
    Trainings(wanted.dataset, RECIPE, Store(wanted.folder)).train(wanted.cell, wanted.seed)


def missing_of(wanted: Sequence[CellTraining]) -> list[CellTraining]:
    """Leave out what is trained."""
    cells = dict.fromkeys((w.dataset, trainings.pruned(w.cell), w.seed, w.folder) for w in wanted)
    return [
        CellTraining(*values)
        for values in cells
        if not Store(values[3]).known(trainings.key(*values[:3]))
    ]


# --- all ------------------------------------------------------------------------------------


def run(searches: Sequence[Search], folder: Path, jobs: int) -> None:
    """Do what is missing: seed by seed, image set by image set."""
    groups = dict.fromkeys((search.seed, search.dataset) for search in searches)
    with tqdm(total=len(searches), unit="search") as bar, workers.pool(jobs) as pool:
        for seed, dataset in groups:
            bar.set_description(f"{dataset}, seed {seed}")
            group = [s for s in searches if (s.seed, s.dataset) == (seed, dataset)]
            for _ in _stages(group, folder, pool):
                bar.update()


def _stages(searches: Sequence[Search], folder: Path, pool: Executor) -> Iterator[None]:
    """Train the random cells, search, train anew; yield after each search."""
    dataset, seed, store = searches[0].dataset, searches[0].seed, Store(folder)
    at_random = [CellTraining(dataset, cell, seed, folder) for cell in reference()]
    [*workers.finished(pool, run_training, missing_of(at_random))]
    todo = [s for s in searches if not store.known(s.key)]
    yield from (len(searches) - len(todo)) * [None]
    yield from workers.finished(pool, run_search, todo)
    found = [cell for s in searches for cell in found_cells(store.get(s.key, dict))]
    anew = [CellTraining(dataset, cell, s, folder) for cell in found for s in ANEW]
    [*workers.finished(pool, run_training, missing_of(anew))]


def key_of(record: Record) -> tuple[object, ...]:
    """Where a record is kept."""
    if record["kind"] == "training":
        return trainings.key(record["dataset"], record["cell"], record["seed"])
    last = (record["dataset"], record["method"], record["seed"], record.get("epochs", UNITS))
    return "searches", *last


def write(records: Sequence[Record], out: Path) -> None:
    """Replace the file by these records."""
    with replaced(out) as file:
        file.writelines(f"{json.dumps(record)}\n".encode() for record in records)
