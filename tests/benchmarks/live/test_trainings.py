from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.live import trainings
from benchmarks.live.parts import divide
from benchmarks.live.store import Store
from benchmarks.live.trainings import pruned
from benchmarks.live.trainings import Trainings
from optuna_tnas.demo.cell_training import train_and_evaluate
from tests.benchmarks.live.tiny import arrays
from tests.benchmarks.live.tiny import parts
from tests.benchmarks.live.tiny import RECIPE


CELL = ("nor_conv_3x3", "none", "none", "skip_connect", "nor_conv_1x1", "none")
DEAD_END = ("nor_conv_3x3", "avg_pool_3x3", "none", "skip_connect", "nor_conv_1x1", "none")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(trainings, "parts_of", lambda name, recipe: parts())


def test_operations_on_no_path_are_pruned():
    assert pruned(DEAD_END) == CELL
    assert pruned(CELL) == CELL
    assert pruned(("nor_conv_3x3", *5 * ("none",))) == 6 * ("none",)


def test_a_training_is_done_once_and_charged_each_time(tmp_path: Path, monkeypatch):
    data = Trainings("tiny", RECIPE, Store(tmp_path))
    first = data.train(CELL, 3)
    assert first.cpu_seconds > 0
    monkeypatch.setattr(trainings, "train", None)
    assert data.train(CELL, 3) == data.train(DEAD_END, 3) == first


def test_it_is_the_demos_training_measured_on_two_halves():
    images, labels, split = arrays()
    demo = train_and_evaluate(CELL, images, labels, split, RECIPE, seed=3)
    trained = trainings.train(CELL, divide(images, labels, split, RECIPE), RECIPE, seed=3)
    halves = [trained.validation_loss, trained.test_loss]  # of 15 images each
    assert np.mean(halves) == pytest.approx(demo.log_loss, rel=1e-5)


def test_a_cell_without_a_path_is_trained(tmp_path: Path):
    trained = Trainings("tiny", RECIPE, Store(tmp_path)).train(6 * ("none",), 0)
    assert np.isfinite(trained.validation_loss)
