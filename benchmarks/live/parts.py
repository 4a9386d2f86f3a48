"""The three parts of an image set: for training, for the search's validation, and for the test."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.build.load_images import load_images
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.demo import cell_training
from optuna_tnas.demo.cell_training import Recipe


@dataclass(frozen=True)
class Part:
    """Images ``N x C x R x R`` float32 and their ``N`` int64 labels."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Parts:
    """An image set as a search has it.

    Attributes:
        n_classes: Of all parts.
        train: What networks are trained on.
        validation: What a search sees a trained network's loss on, or adapts its alpha to.
        test: What a search never sees.
    """

    n_classes: int
    train: Part
    validation: Part
    test: Part


def divide(images: np.ndarray, labels: np.ndarray, split: np.ndarray, recipe: Recipe) -> Parts:
    """Halve the held-out images class by class; the training part is the recipe's.

    Args:
        images: ``N x H x W x C`` uint8.
        labels: ``N`` integers from 0.
        split: ``N``: 0 for training, 1 for held-out images.
        recipe: Decides the size in pixels, and how many images are trained on.
    """
    train, held_out = cell_training.parts(split, recipe.max_images)
    validation, test = halves(held_out, labels[held_out])
    x, mean, std = cell_training.normalized(images[train], recipe.resolution)
    y = torch.from_numpy(labels.astype(np.int64))
    measured = [
        Part(cell_training.normalized(images[i], recipe.resolution, mean, std)[0], y[i])
        for i in (validation, test)
    ]
    return Parts(int(labels.max()) + 1, Part(x, y[train]), *measured)


def halves(positions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Halve positions by a fixed draw, so that no half has two more of a class than the other.

    Args:
        positions: ``n``.
        labels: Their ``n`` classes.
    """
    order = np.random.default_rng(0).permutation(len(positions))
    by_class = order[np.argsort(labels[order], kind="stable")]
    return np.sort(positions[by_class[::2]]), np.sort(positions[by_class[1::2]])


@lru_cache(maxsize=2)
def parts_of(name: str, recipe: Recipe) -> Parts:
    """Read and divide an image set of the data folder."""
    stored = load_images(name)
    return divide(stored.images, stored.labels, stored.split, recipe)


def sample_of(name: str) -> DatasetSample:
    """Describe an image set to those who look at it: its training images only."""
    stored = load_images(name)
    train = stored.split == 0
    return DatasetSample.from_arrays(stored.images[train], stored.labels[train])
