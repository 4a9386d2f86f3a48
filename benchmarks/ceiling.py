"""How much could knowing the data set help before the first trial? Bounds that cheat.

    python -m benchmarks.ceiling

Each image set of the package's history is predicted by the others, each through a Gaussian process
of its own on what networks are made of. All others alike is what a sampler does that knows no data
set. With the best single other set, or the best non-negative weights, chosen by the target's own
values, a sampler would do that knew all that a data set's description can tell. Those numbers are
mean Spearman coefficients of the prediction with the values.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls
from scipy.stats import spearmanr
import torch
from torch import Tensor

from optuna_tnas import MetaDataset
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.surrogate.kernels import gaussian
from optuna_tnas.surrogate.kernels import squared_distance
from optuna_tnas.surrogate.outcomes import normal_scores
from optuna_tnas.surrogate.past import _coefficients


def predictions(history: MetaDataset) -> list[np.ndarray]:
    """For each task ``n x Q``: what each of the Q tasks predicts on its architectures."""
    structure = StructureEncoder(history.space)
    counts = [structure(task.X) for task in history.tasks]
    alphas = [
        _alpha(S, torch.from_numpy(normal_scores(task.y)))
        for S, task in zip(counts, history.tasks, strict=True)
    ]
    return [
        np.stack(
            [
                (gaussian(squared_distance(S, other)) @ alpha).numpy()
                for other, alpha in zip(counts, alphas, strict=True)
            ],
            axis=1,
        )
        for S in counts
    ]


def _alpha(structure: Tensor, y: Tensor) -> Tensor:
    """Coefficients of the structure's kernel, all architectures being alike to the other one."""
    return _coefficients(structure.new_zeros(len(structure), 1), structure, y)[1]


def coefficients(predicted: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Of all others alike, the best single one, the best non-negative weights.

    Args:
        predicted: ``n x Q'`` by the others.
        y: ``n`` values.
    """
    best_weights, _ = nnls(predicted, normal_scores(y))
    single = max(_spearman(column, y) for column in predicted.T)
    return _spearman(predicted.mean(axis=1), y), single, _spearman(predicted @ best_weights, y)


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a, b).statistic) if np.ptp(a) > 0 else 0.0


def main() -> None:
    history = shipped_history()
    rows = [
        coefficients(np.delete(predicted, q, axis=1), task.y)
        for q, (task, predicted) in enumerate(
            zip(history.tasks, predictions(history), strict=True)
        )
    ]
    print("| image set | all others alike | best single other | best weights |\n|---|---|---|---|")
    for name, row in [
        *zip((task.name for task in history.tasks), rows, strict=True),
        ("**mean**", tuple(np.mean(rows, axis=0))),
    ]:
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |")


if __name__ == "__main__":
    main()
