"""The shipped history: real studies of really trained cells."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from optuna_tnas.demo.shipped_history import FOLDER
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task


@pytest.fixture(scope="module")
def history() -> MetaDataset:
    return shipped_history()


def test_at_least_100_cells_on_at_least_18_image_sets(history: MetaDataset) -> None:
    assert len(history.tasks) >= 18
    assert all(len(task.y) >= 100 for task in history.tasks)
    assert history.left_out == {}


def test_every_task_has_a_sample_of_its_data_set(history: MetaDataset) -> None:
    for task in history.tasks:
        assert task.dataset is not None
        assert task.dataset.n_classes >= 2
        assert np.isfinite(task.dataset.points).all()


def test_no_cell_is_there_twice_and_losses_differ(history: MetaDataset) -> None:
    for task in history.tasks:
        assert len(np.unique(task.X, axis=0)) == len(task.X)
        assert len(np.unique(task.y)) > 0.85 * len(task.y)


def test_there_is_something_to_transfer(history: MetaDataset) -> None:
    """The same cells on different sets rank alike, far above chance."""
    correlations = [_correlation(a, b) for a, b in combinations(history.tasks, 2)]
    assert np.mean(correlations) > 0.5


def _correlation(a: Task, b: Task) -> float:
    losses = [{row.tobytes(): y for row, y in zip(t.X, t.y, strict=True)} for t in (a, b)]
    shared = [key for key in losses[0] if key in losses[1]]
    assert len(shared) >= 20
    return float(spearmanr(*[[loss[key] for key in shared] for loss in losses]).statistic)


def test_it_is_small_and_holds_no_images() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 7e6
    assert len([path for path in files if path.parent.name == "artifacts"]) == len(files) - 1
