"""Replays of past studies with several objectives: how much of the hypervolume is found.

It counts from a little below the worst values that the study measured, as far as these are
bounded where a study's models scale them (:func:`~optuna_tnas.surrogate.outcomes.scale_labels`).
Measured constraints are left aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

from botorch.utils.multi_objective.hypervolume import Hypervolume
import numpy as np
import torch

from optuna_tnas.config import Config
from optuna_tnas.evaluation import replay
from optuna_tnas.evaluation.replay import measured
from optuna_tnas.evaluation.replay import RANDOM
from optuna_tnas.meta.training import meta_train
from optuna_tnas.studies.fronts import non_dominated
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.studies.observations import Metric
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.outcomes import scale_labels


_N_RANDOM = 64  # random orders, in place of their exact mean
_MARGIN = 0.1  # of the reference point below the worst values, in parts of their range


@dataclass(frozen=True)
class FrontOutcome:
    """Hypervolume regrets of one past study, the target, searched again with one seed.

    Attributes:
        target: Name of the study.
        seed: Seed of the meta-training on the other studies and of the searches.
        architectures: Number of different architectures that were measured.
        hypervolume_regret: By method, mean share of the hypervolume of all measured architectures
            that those found after 1, 2, ... trials lack.
    """

    target: str
    seed: int
    architectures: int
    hypervolume_regret: dict[str, list[float]]


class MeasuredFront:
    """The hypervolume of all architectures that a study measured.

    Args:
        Y: ``m x M`` values, higher is better.
    """

    def __init__(self, Y: np.ndarray) -> None:
        self._Y = np.stack([scale_labels(y) for y in Y.T], axis=1)
        spread = np.ptp(self._Y, axis=0)
        worst = self._Y.min(axis=0) - _MARGIN * np.where(spread > 0, spread, 1.0)
        self._hypervolume = Hypervolume(torch.from_numpy(worst))
        self._whole = self._volume(np.arange(len(Y)))

    def regrets(self, tried: np.ndarray) -> np.ndarray:
        """Return the share that is missing after each of ``n`` positions: ``n``."""
        volumes = [self._volume(tried[: n + 1]) for n in range(len(tried))]
        return 1 - np.array(volumes) / self._whole

    def _volume(self, tried: np.ndarray) -> float:
        Y = self._Y[tried]
        return self._hypervolume.compute(torch.from_numpy(Y[non_dominated(Y)]))


def targets(history: MetaDataset) -> list[str]:
    """Name the studies with several objectives, one of which another study has, too."""
    known = set(replay.targets(history))
    shared = {
        t.name
        for label, t in zip(history.labels, history.tasks, strict=True)
        if label in known and t.objective
    }
    return [name for name in history.studies if name in shared and len(_tasks(history, name)) > 1]


def _tasks(history: MetaDataset, name: str) -> Sequence[Task]:
    """Take a study's objectives."""
    return [task for task in history.tasks if task.name == name and task.objective]


def leave_out(
    history: MetaDataset, target: str, seed: int, *, config: Config, n_trials: int
) -> FrontOutcome:
    """Meta-train on the other studies, then search the target's architectures.

    Args:
        history: The past studies.
        target: Name of the study that is searched.
        seed: Seed of everything random.
        config: Sizes and rates of the surrogates, with and without transfer.
        n_trials: Trials of each search; fewer if fewer architectures were measured.

    Raises:
        HistoryError: If the data set samples differ in width, or all other studies are copies of
            this one.
    """
    tasks = _tasks(history, target)
    study = _measured(tasks)
    with controlled_numerics():
        others = replay.others_of(history, target)
        surrogate = meta_train(others, config=config, seed=seed, progress=False)
        found = replay.search_all(surrogate, tasks[0].dataset, study, n_trials, seed)
    return FrontOutcome(target, seed, len(study.X), _regrets(study.y, found, seed))


def _measured(tasks: Sequence[Task]) -> Observations:
    """Give a study's different architectures and the mean values of each."""
    X, _ = measured(tasks[0])
    Y = np.stack([measured(task)[1] for task in tasks], axis=1)
    return Observations(X, Y, X[:0], X, metrics=[Metric(task.metric, 1.0) for task in tasks])


def _regrets(Y: np.ndarray, found: Mapping[str, np.ndarray], seed: int) -> dict[str, list[float]]:
    """Average the regrets of each method's searches, and of random ones."""
    n_trials = next(iter(found.values())).shape[1]
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(len(Y))[:n_trials] for _ in range(_N_RANDOM)])
    front = MeasuredFront(Y)
    return {
        method: np.mean([front.regrets(tried) for tried in searches], axis=0).tolist()
        for method, searches in {**found, RANDOM: orders}.items()
    }
