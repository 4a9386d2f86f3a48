"""A searched study with two past ones, and one of another sampler."""

from __future__ import annotations

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
    surrogate.warm_start = cells.sample(3, np.random.default_rng(0))
    return surrogate


@pytest.fixture(scope="session")
def sampler(surrogate: MetaSurrogate) -> TNASSampler:
    return TNASSampler(surrogate, dataset=sample_of(2), seed=0)


def objective_of(space: Space):  # type: ignore[no-untyped-def]
    def objective(trial: Trial) -> float:
        row = space.encode(space.suggest(trial))
        return float((row == 2).sum() - 0.2 * row[-1])

    return objective


@pytest.fixture(scope="session")
def study(sampler: TNASSampler, cells: Space) -> Study:
    return search(sampler, objective_of(cells), 12, "maximize")


@pytest.fixture(scope="session")
def foreign(cells: Space) -> Study:
    """Of a sampler that writes nothing with its trials."""
    return search(RandomSampler(seed=0), objective_of(cells), 8, "maximize")


@pytest.fixture
def empty() -> Study:
    return optuna.create_study(study_name="nothing yet")
