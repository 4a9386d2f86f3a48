"""A made-up family whose tasks have hyper-parameters beside the architecture."""

from __future__ import annotations

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution

from benchmarks.tasks import Family
from benchmarks.tasks import Hyperparameter
from benchmarks.tasks import TableTask
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node


SPACE = CellSpace([Node("a", ["conv", "pool"]), Node("b", ["conv", "pool", "skip"], ["a"])])
HYPERPARAMETERS = {
    "lr": Hyperparameter(FloatDistribution(1e-4, 1e-1, log=True), (1e-4, 1e-3, 1e-2, 1e-1)),
    "batch": Hyperparameter(IntDistribution(8, 64, log=True), (8, 16, 64)),
    "dropout": Hyperparameter(FloatDistribution(0, 0.6), (0.0, 0.3, 0.6)),
    "schedule": Hyperparameter(CategoricalDistribution(["cosine", "const"]), ("cosine", "const")),
}
DISTRIBUTIONS = {name: h.distribution for name, h in HYPERPARAMETERS.items()}
SHAPE = (2, 3, 4, 3, 3, 2)


def joint_family(n_past: int = 2) -> Family:
    """Past tasks and a target, each a sum over the parameters with its own disturbance."""
    names = [*(f"past_{i}" for i in range(n_past)), "target"]
    tasks = {name: _task(seed) for seed, name in enumerate(names)}
    return Family(SPACE, tasks, hyperparameters=HYPERPARAMETERS)


def _task(seed: int) -> TableTask:
    gains = np.random.default_rng(0).normal(size=sum(SHAPE))
    gains = gains + 0.1 * np.random.default_rng(seed + 1).normal(size=len(gains))
    parts = np.split(gains, np.cumsum(SHAPE)[:-1])
    value = sum(part[at] for part, at in zip(parts, np.indices(SHAPE), strict=True))
    return TableTask(np.arange(value.size).reshape(SHAPE), value.ravel(), value.ravel() + 1)
