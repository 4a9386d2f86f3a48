"""The past of a search on an image set: the package's history without that set's images."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import optuna
from optuna.study import Study
from optuna.trial import create_trial

from benchmarks.build.load_images import load_images
from benchmarks.live.parts import sample_of
from benchmarks.peers import Setting
from optuna_tnas.demo.leakage import overlapping
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task


SPACE = NASBench201Space()


@lru_cache(maxsize=1)
def _history() -> MetaDataset:
    return shipped_history()


def setting_of(dataset: str, seed: int, cache: Path) -> Setting:
    """Give a method all that it may know before a search.

    Args:
        dataset: The image set that is searched on.
        seed: Of the method.
        cache: A folder for what methods learn.
    """
    history = _history()
    leaking = overlapping(history, dataset, load_images(dataset).images)
    tasks = [task for task in history.tasks if task.name not in leaking]
    return Setting(
        SPACE,
        tuple(map(study_of, tasks)),
        seed,
        cache / f"{dataset}-{seed}",
        dataset=sample_of(dataset),
        samples={task.name: task.dataset for task in tasks if task.dataset is not None},
    )


def study_of(task: Task) -> Study:
    """Make a study in memory that maximizes the values of a past task."""
    study = optuna.create_study(study_name=task.name, direction="maximize")
    distributions = dict(SPACE.distributions())
    study.add_trials(
        [
            create_trial(params=SPACE.decode(row), distributions=distributions, value=float(y))
            for row, y in zip(task.X, task.y, strict=True)
        ]
    )
    return study
