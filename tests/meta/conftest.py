"""A family of tasks over a small space: what the operations are worth hardly changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optuna_tnas.config import Config
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.meta.history import Task
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Space


N_FEATURES = 5
CONV = 2  # the choice that the values depend on


@pytest.fixture(scope="session")
def space() -> Space:
    return CellSpace.on_edges(3, ("none", "skip", "conv", "pool"), zero=["none"])


@pytest.fixture(scope="session")
def config() -> Config:
    return Config(
        architecture_hidden=16,
        architecture_dim=8,
        dataset_width=8,
        dataset_heads=2,
        dataset_dim=4,
        joint_layers=(16, 8),
        outer_steps=30,
        inner_rate=3e-3,
    )


@pytest.fixture(scope="session")
def dataset_of() -> Callable[[int, float], DatasetSample]:
    """A data set whose first feature says ``sign``; the others are its own."""

    def make(seed: int, sign: float) -> DatasetSample:
        rng = np.random.default_rng(seed)
        center = np.append(sign, rng.standard_normal(N_FEATURES - 1))
        points = center + 0.3 * rng.standard_normal((60, N_FEATURES))
        return DatasetSample.from_features(points, np.arange(60) % 3)

    return make


@pytest.fixture(scope="session")
def task_of(space: Space) -> Callable[..., Task]:
    """A task whose values grow (``sign`` 1) or fall (-1) with the number of convolutions."""

    def make(
        seed: int, sign: float = 1.0, dataset: DatasetSample | None = None, n: int = 30
    ) -> Task:
        rng = np.random.default_rng(seed)
        X = space.sample(n, rng)
        slope = sign * (1 + 0.2 * rng.standard_normal())
        y = slope * (X == CONV).sum(axis=1) + 0.1 * rng.standard_normal(n) + seed
        return Task(f"task {seed}", X, y, dataset)

    return make
