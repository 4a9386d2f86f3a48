"""Black-box search on the clock: ask for a cell, train it, tell its validation loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.study import Study

from benchmarks.live.supernet import Cell
from benchmarks.live.trainings import Trained
from benchmarks.live.trainings import Trainings
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import NASBench201Space


SPACE = NASBench201Space()


@dataclass(frozen=True)
class Step:
    """A cell that was tried.

    Attributes:
        cell: The cell.
        trained: How its training went.
        cpu_seconds: From the search's begin to here, its own and all trainings'.
        recommended: The cell with the best posterior mean of those tried, of a sampler that can
            predict; else the one with the best loss. Its computation is not charged: a search
            needs it once, at the end.
    """

    cell: Cell
    trained: Trained
    cpu_seconds: float
    recommended: Cell


def search(
    sampler: BaseSampler, trainings: Trainings, seed: int, cpu_seconds: float
) -> Iterator[Step]:
    """Search until the clock has gone so far; the last cell's training may end behind it.

    Args:
        sampler: The method.
        trainings: On the image set.
        seed: Of the trainings.
        cpu_seconds: When to end.
    """
    study = optuna.create_study(direction="maximize", sampler=sampler)
    spent = 0.0
    while spent < cpu_seconds:
        start = process_time()
        trial = study.ask()
        cell = cell_of(SPACE.encode(SPACE.suggest(trial)))
        spent += process_time() - start
        trained = trainings.train(cell, seed)
        start = process_time()
        study.tell(trial, -trained.validation_loss)
        spent += process_time() - start + trained.cpu_seconds
        yield Step(cell, trained, spent, recommended(study))


def recommended(study: Study) -> Cell:
    """Choose of the cells that were tried."""
    trials = study.get_trials(deepcopy=False)
    values = np.array([trial.value for trial in trials])
    if isinstance(study.sampler, TNASSampler):
        values = study.sampler.predict(study, [trial.params for trial in trials])[0]
    return cell_of(SPACE.encode(trials[int(np.argmax(values))].params))


def cell_of(row: np.ndarray) -> Cell:
    """Convert an architecture's row of choices to the edges' operations."""
    return tuple(SPACE.decode(row).values())
