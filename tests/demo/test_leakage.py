"""A past task on the same images is found by its images, whatever they are called."""

from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.demo.image_sets import digits
from optuna_tnas.demo.leakage import overlapping
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task


@pytest.fixture(scope="module")
def shipped() -> MetaDataset:
    return shipped_history()


def _history(**datasets: DatasetSample | None) -> MetaDataset:
    space = NASBench201Space()
    X = space.sample(3, np.random.default_rng(0))
    tasks = [Task(name, X, np.arange(3.0), sample) for name, sample in datasets.items()]
    return MetaDataset(space, tuple(tasks))


def _images(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(n, 8, 8, 1), dtype=np.uint8), np.arange(n) % 4


def test_digits_are_found_among_the_shipped_tasks(shipped: MetaDataset) -> None:
    found = overlapping(shipped, "renamed", digits().images)
    assert list(found) == ["sklearn_digits"]
    assert "images are among these" in found["sklearn_digits"]


def test_a_tenth_of_the_images_says_enough(shipped: MetaDataset) -> None:
    assert list(overlapping(shipped, "renamed", digits().images[::10])) == ["sklearn_digits"]


def test_other_images_of_the_same_size_are_other_images(shipped: MetaDataset) -> None:
    images = np.ascontiguousarray(digits().images[:, ::-1])
    assert overlapping(shipped, "digits", images) == {}
    for shape in ((50, 28, 28, 1), (50, 32, 32, 3)):
        noise = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
        assert overlapping(shipped, "noise", noise) == {}


def test_the_name_alone_is_enough(shipped: MetaDataset) -> None:
    images, _ = _images(0)
    assert overlapping(shipped, "cifar10", images) == {"cifar10": "it has the same name"}
    assert overlapping(_history(mine=None, other=None), "mine", images).keys() == {"mine"}


def test_in_half_precision_and_as_colors_images_stay_the_same() -> None:
    images, labels = _images(0)
    sample = DatasetSample.from_bytes(DatasetSample.from_arrays(images, labels).to_bytes())
    colored = np.repeat(images, 3, axis=-1)
    others = DatasetSample.from_arrays(*_images(1))
    history = _history(a=sample, b=others)
    assert list(overlapping(history, "mine", colored)) == ["a"]
    assert list(overlapping(history, "mine", images[::-1])) == ["a"]


def test_samples_of_other_things_are_passed_over() -> None:
    images, _ = _images(0)
    rng = np.random.default_rng(0)
    table = DatasetSample.from_arrays(rng.standard_normal((40, 6)), np.arange(40) % 2)
    own = DatasetSample.from_features(rng.standard_normal((40, 7)), np.arange(40) % 2)
    assert table.n_features == N_FEATURES
    assert overlapping(_history(table=table, own=own), "mine", images) == {}
