"""How much could knowing the data set help before the first trial? Bounds by an oracle.

    python -m benchmarks.questions.ceiling

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

from benchmarks.common import markdown
from optuna_tnas import MetaDataset
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.encoders.structure import StructureEncoder
from optuna_tnas.surrogate.kernels import gaussian
from optuna_tnas.surrogate.kernels import squared_distance
from optuna_tnas.surrogate.outcomes import normal_scores
from optuna_tnas.surrogate.past import _coefficients


def predictions(history: MetaDataset) -> list[np.ndarray]:
    """Return for each task the ``n x Q`` predictions of the Q tasks on its architectures."""
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
    """Solve for the structure's coefficients, all architectures being alike to the other."""
    return _coefficients(structure.new_zeros(len(structure), 1), structure, y)[1]


def coefficients(predicted: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Correlate with ``y``: the mean of the others, the best single one, the best weighted sum.

    Args:
        predicted: ``n x Q'`` predictions of the other tasks.
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
    names = [*(task.name for task in history.tasks), "**mean**"]
    cells = [
        [name, *(f"{value:.3f}" for value in row)]
        for name, row in zip(names, [*rows, np.mean(rows, axis=0)], strict=True)
    ]
    heads = ["image set", "all others alike", "best single other", "best weights"]
    print("\n".join(markdown.table(heads, cells)))


if __name__ == "__main__":
    main()
