"""A searched study with two past ones, and one of another sampler."""

from __future__ import annotations

from copy import copy

import numpy as np
import optuna
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import Trial
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.spaces.cell import OneOf
from optuna_tnas.surrogate.past import PastStudies
from tests.searches import search
from tests.small_config import SMALL


OPS = ["none", "skip", "conv", "pool"]


@pytest.fixture(scope="session")
def cells() -> Space:
    return CellSpace(
        [Node("a", OPS[1:]), Node("b", OPS, [OneOf("input", "a")]), Node("c", OPS, ["b"])],
        zero=["none"],
    )


def sample_of(seed: int) -> DatasetSample:
    points = np.random.default_rng(seed).standard_normal((40, 5)) + seed
    return DatasetSample.from_features(points, np.arange(40) % 2)


@pytest.fixture(scope="session")
def surrogate(cells: Space) -> MetaSurrogate:
    """Its two past studies are on different data sets."""
    surrogate = MetaSurrogate(cells, SMALL, n_features=5)
    studies = []
    for seed in range(2):
        X = cells.sample(30, np.random.default_rng(seed))
        studies.append((X, (X == 2).sum(axis=1) + 0.1 * X[:, 0], sample_of(seed)))
    surrogate.past = PastStudies.fit(surrogate.network, surrogate.structure, studies)
    surrogate.provenance = {"tasks": {"digits": 30, "letters": 30}}
    surrogate.warm_starts = (cells.sample(3, np.random.default_rng(0)),)
    return surrogate


@pytest.fixture(scope="session")
def sampler(surrogate: MetaSurrogate) -> TNASSampler:
    return TNASSampler(surrogate, dataset=sample_of(2), seed=0)


def objective_of(space: Space):  # type: ignore[no-untyped-def]
    def objective(trial: Trial) -> float:
        return value_of(space.encode(space.suggest(trial)))

    return objective


def value_of(row: np.ndarray) -> float:
    return float((row == 2).sum() - 0.2 * row[-1])


@pytest.fixture(scope="session")
def study(sampler: TNASSampler, cells: Space) -> Study:
    return search(sampler, objective_of(cells), 12, "maximize")


@pytest.fixture(scope="session")
def knowing_both(surrogate: MetaSurrogate, cells: Space) -> TNASSampler:
    """Knows past studies of accuracy and of latency, which grows with it."""
    twin = copy(surrogate)
    X = cells.sample(60, np.random.default_rng(0))
    studies = [(X, np.array([value_of(row) for row in X]), None)]
    studies += [(X, -latency_of(X), None)]
    twin.past = PastStudies.fit(twin.network, twin.structure, studies, metrics=(0, 1))
    twin.metrics, twin.warm_starts = ("accuracy", "latency"), 2 * surrogate.warm_starts
    return TNASSampler(twin, seed=0)


def latency_of(X: np.ndarray) -> np.ndarray:
    return (X == 2).sum(axis=-1) + 0.5 * (X == 3).sum(axis=-1)


@pytest.fixture(scope="session")
def two_objectives(knowing_both: TNASSampler, cells: Space) -> Study:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=knowing_both)
    study.set_metric_names(["accuracy", "latency"])

    def objectives(trial: Trial) -> tuple[float, float]:
        row = cells.encode(cells.suggest(trial))
        return value_of(row), float(latency_of(row))

    study.optimize(objectives, n_trials=8)
    return study


@pytest.fixture(scope="session")
def foreign(cells: Space) -> Study:
    """Of a sampler that writes nothing with its trials."""
    return search(RandomSampler(seed=0), objective_of(cells), 8, "maximize")


@pytest.fixture
def empty() -> Study:
    return optuna.create_study(study_name="nothing yet")
