"""The past of a search on an image set: the package's history without that set's images."""

from __future__ import annotations

from pathlib import Path

from benchmarks.build.load_images import load_images
from benchmarks.live.parts import sample_of
from benchmarks.past_settings import studies_of
from benchmarks.peers import Setting
from benchmarks.questions.dataset_encoder import history
from optuna_tnas.demo.leakage import overlapping


def setting_of(dataset: str, seed: int, cache: Path) -> Setting:
    """Give a method all that it may know before a search.

    Args:
        dataset: The image set that is searched on.
        seed: Of the method.
        cache: A folder for what methods learn.
    """
    past = history()
    past = past.without(*overlapping(past, dataset, load_images(dataset).images))
    return Setting(
        past.space,
        studies_of(past.tasks, past.space),
        seed,
        cache / f"{dataset}-{seed}",
        dataset=sample_of(dataset),
        samples={task.name: task.dataset for task in past.tasks if task.dataset is not None},
    )
