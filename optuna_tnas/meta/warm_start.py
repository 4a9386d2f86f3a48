"""The initial architectures: a set that covers the past tasks.

Wistuba and Grabocka, "Few-shot Bayesian optimization with deep kernel surrogates" (ICLR 2021):
choose the set that minimizes the mean over the past tasks of the best regret within the set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.gp import unfitted_gp
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import scale_labels


# More than a sequential search uses, for many workers that start at once.
SIZE = 16
_BEST_PER_TASK = 20
_MAX_CANDIDATES = 2000  # of all tasks; the fewer of each, the more tasks there are
# Among sets that cover the tasks equally, prefer architectures that are good on all of them.
_MEAN_WEIGHT = 0.1


def choose_warm_start(surrogate: MetaSurrogate, history: MetaDataset) -> np.ndarray:
    """Choose architectures greedily among the past's best.

    An architecture's value on a task is what the task's own trials predict: through the
    surrogate's past if it has one, else by a GP with the meta-learned kernel.

    Returns:
        ``w x P`` int64 with ``w <= 16``, best first.
    """
    X = _candidates(history.tasks)
    X = X[np.unique(surrogate.groups(X), return_index=True)[1]]
    predicted = _predicted(surrogate, history.tasks, X)
    regrets = predicted.max(axis=1, keepdims=True) - predicted
    return np.asarray(X[_greedy_cover(regrets, SIZE)])


def _candidates(tasks: Sequence[Task]) -> np.ndarray:
    """The best architectures of every task, ``n x P`` with ``n <= 2000``.

    Of more than 2,000 tasks, those of every second one, every third one and so on.
    """
    chosen = tasks[:: -(-len(tasks) // _MAX_CANDIDATES)]
    n = min(_BEST_PER_TASK, _MAX_CANDIDATES // len(chosen))
    best = [task.X[np.argsort(-task.y, kind="stable")[:n]] for task in chosen]
    return np.asarray(np.unique(np.concatenate(best), axis=0))


def _predicted(surrogate: MetaSurrogate, tasks: Sequence[Task], X: np.ndarray) -> np.ndarray:
    """What each task predicts, in standard deviations of its values or their scores: ``Q x C``."""
    if surrogate.past is not None:
        return surrogate.predictions(X).numpy().T
    return np.stack([_posterior_mean(surrogate, task, X) for task in tasks])


@torch.no_grad()
def _posterior_mean(surrogate: MetaSurrogate, task: Task, X: np.ndarray) -> np.ndarray:
    y = torch.from_numpy(scale_labels(task.y))
    Z = surrogate.latents(task.X, task.dataset)
    gp = unfitted_gp(Z, y, surrogate.hyperparameters)
    mean = gp.posterior(surrogate.latents(X, task.dataset).unsqueeze(-2)).mean
    return np.asarray(mean.flatten().numpy())


def _greedy_cover(regrets: np.ndarray, size: int) -> np.ndarray:
    """Positions of up to ``size`` columns of ``Q x C`` regrets, in the order chosen."""
    chosen: list[int] = []
    covered = np.full(len(regrets), np.inf)
    for _ in range(min(size, regrets.shape[1])):
        coverage = np.minimum(covered[:, None], regrets).mean(axis=0)
        score = coverage + _MEAN_WEIGHT * regrets.mean(axis=0)
        score[chosen] = np.inf
        chosen.append(int(score.argmin()))
        covered = np.minimum(covered, regrets[:, chosen[-1]])
    return np.array(chosen, dtype=np.int64)
