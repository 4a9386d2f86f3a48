"""The initial architectures, chosen among the past's best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from optuna_tnas.spaces.rows import best
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.features import LatentMap
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.paper import paper_gp
from optuna_tnas.surrogate.start import greedy_cover


# More than a sequential search uses, for many workers that start at once.
SIZE = 16
_BEST_PER_TASK = 20
_MAX_CANDIDATES = 2000  # of all tasks; the fewer of each, the more tasks there are


def choose_warm_starts(surrogate: MetaSurrogate, history: MetaDataset) -> tuple[np.ndarray, ...]:
    """Choose a set for each of the history's metrics; see :func:`choose_warm_start`."""
    return tuple(choose_warm_start(surrogate, history, metric) for metric in history.metrics)


def choose_warm_start(
    surrogate: MetaSurrogate, history: MetaDataset, metric: str | None
) -> np.ndarray:
    """Choose architectures greedily among the past's best by one metric.

    An architecture's value on a task is what the task's own trials predict: through the
    surrogate's past if it has one, else by a GP with the meta-learned kernel.

    Returns:
        ``w x P`` int64 with ``w <= 16``, best first.
    """
    tasks = history.of_metric(metric)
    X = _candidates(tasks)
    X = X[np.unique(surrogate.space.to_graphs(X).pruned().classes()[1], return_index=True)[1]]
    predicted = _predicted(surrogate, tasks, X, history.metrics.index(metric))
    regrets = predicted.max(axis=1, keepdims=True) - predicted
    return np.asarray(X[greedy_cover(regrets, SIZE)])


def _candidates(tasks: Sequence[Task]) -> np.ndarray:
    """Select the best architectures of every task: ``n x P`` with ``n <= 2000``.

    Of more than 2,000 tasks, those of every second one, every third one and so on.
    """
    chosen = tasks[:: -(-len(tasks) // _MAX_CANDIDATES)]
    n = min(_BEST_PER_TASK, _MAX_CANDIDATES // len(chosen))
    return np.unique(np.concatenate([best(task.X, task.y, n) for task in chosen]), axis=0)


def _predicted(
    surrogate: MetaSurrogate, tasks: Sequence[Task], X: np.ndarray, metric: int
) -> np.ndarray:
    """What each task predicts, in standard deviations of its values or their scores: ``Q x C``.

    Args:
        surrogate: The surrogate.
        tasks: ``Q`` tasks, all of one metric.
        X: ``C x P`` architectures.
        metric: The metric's position.
    """
    predictor = surrogate.predictor
    if predictor is not None:
        return np.asarray(predictor(X)[:, predictor.of_metric(metric)].numpy().T)
    return np.stack([_posterior_mean(surrogate, task, X) for task in tasks])


@torch.no_grad()
def _posterior_mean(surrogate: MetaSurrogate, task: Task, X: np.ndarray) -> np.ndarray:
    features = LatentMap(surrogate.network, task.dataset)
    y = torch.from_numpy(scale_labels(task.y))
    inputs, start = FeatureInputs(features.blocks), surrogate.network.hyperparameters
    gp = paper_gp(inputs, features(task.X), y, start)
    mean = gp.posterior(features(X).unsqueeze(-2)).mean
    return np.asarray(mean.flatten().numpy())
