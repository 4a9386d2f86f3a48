"""Replay: search a past study again as if it were new, with and without transfer.

A replay searches the measured architectures only and takes their measured values for the truth,
noise included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from itertools import compress

import numpy as np
from optuna.logging import get_logger
from scipy.stats import spearmanr

from optuna_tnas.config import Config
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import HistoryError
from optuna_tnas.meta.training import meta_train
from optuna_tnas.meta.training import past_studies
from optuna_tnas.search.posterior import StudyPosterior
from optuna_tnas.search.suggester import Suggester
from optuna_tnas.spaces.rows import positions
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.outcomes import finite
from optuna_tnas.surrogate.past import PastPredictor


_logger = get_logger(f"optuna.{__name__}")

WITH, WITHOUT, RANDOM = METHODS = ("with transfer", "without", "random")

_TOP_SHARE = 20  # the best 5 %: one architecture in 20, at least one
# Searches without transfer begin at random. They need no meta-training, so there are several.
_N_WITHOUT = 5


@dataclass(frozen=True)
class Outcome:
    """Figures of one past study, the target, searched again with one seed.

    Attributes:
        target: Label of the task: the study's name, with the metric's if it has several.
        seed: Seed of the meta-training on the other studies and of the searches.
        architectures: Number of different architectures that were measured.
        trials: By method, mean number of trials until one of the best 5 % is found; one more than
            there are trials if none is.
        regret: By method, mean ``(best - found) / (best - median)`` after 1, 2, ... trials.
        rank_correlation: Spearman's, of the measured values with what the other studies together
            predict before the first trial.
        sources: By the label of each other task of this metric, the same for what it alone
            predicts.
    """

    target: str
    seed: int
    architectures: int
    trials: dict[str, float]
    regret: dict[str, list[float]]
    rank_correlation: float
    sources: dict[str, float]

    @classmethod
    def of(
        cls,
        target: str,
        seed: int,
        values: np.ndarray,
        found: Mapping[str, np.ndarray],
        predicted: Mapping[str, np.ndarray],
        together: np.ndarray,
    ) -> Outcome:
        """Compute the figures of searches among ``m`` architectures.

        Args:
            target: Name of the study.
            seed: Seed of the searches.
            values: ``m`` measured values.
            found: By method, ``s x n`` values that ``s`` searches met, in order.
            predicted: By the name of each other study, its predictions of the ``m`` values.
            together: ``m`` predictions of all other studies together.
        """
        best = {method: np.maximum.accumulate(found[method], axis=1) for method in found}
        n_trials = next(iter(best.values())).shape[1]
        trials = {m: float(np.mean(_trials_until_top(best[m], values))) for m in best}
        trials[RANDOM] = expected_trials(len(values), n_top(values), n_trials)
        means = {method: best[method].mean(axis=0) for method in best}
        means[RANDOM] = expected_best(values, n_trials)
        return cls(
            target=target,
            seed=seed,
            architectures=len(values),
            trials=trials,
            regret={method: _regret(means[method], values).tolist() for method in METHODS},
            rank_correlation=rank_correlation(together, values),
            sources={name: rank_correlation(p, values) for name, p in predicted.items()},
        )


def check(history: MetaDataset) -> None:
    """Refuse a history that cannot be replayed.

    Raises:
        HistoryError: If no other study of a metric remains when one is left out, or its trials had
            hyper-parameters: a value is then no value of the architecture alone.
    """
    if len(history.hyperparameters):
        raise HistoryError(
            f"The past studies also searched {history.hyperparameters.names} beside the "
            "architecture; a replay searches architectures alone, and would take what a "
            "hyper-parameter did for theirs. Keep the trials of one setting: studies whose "
            "trials have the space's parameters only."
        )
    if not targets(history):
        raise HistoryError(
            "Each study is searched with what the others teach, so at least two of the same "
            f"metric are needed; the history holds just {history.labels}."
        )


def targets(history: MetaDataset) -> list[str]:
    """Label the tasks whose metric other studies have, too."""
    n_tasks = Counter(task.metric for task in history.tasks)
    labeled = zip(history.labels, history.tasks, strict=True)
    return [label for label, task in labeled if n_tasks[task.metric] > 1]


def leave_out(
    history: MetaDataset, target: str, seed: int, *, config: Config, n_trials: int
) -> Outcome:
    """Meta-train on the other studies, then search the target's architectures.

    Args:
        history: The past studies.
        target: Label of the task that is searched.
        seed: Seed of everything random.
        config: Sizes and rates of the surrogates, with and without transfer.
        n_trials: Trials of each search; fewer if fewer architectures were measured.

    Raises:
        HistoryError: If the data set samples differ in width, or all other studies are copies of
            this one.
    """
    task = history.tasks[history.labels.index(target)]
    others = others_of(history, task.name)
    X, values = measured(task)
    study = Observations(X, values, X[:0], X, objective=task.metric)
    with controlled_numerics():
        surrogate = meta_train(others, config=config, seed=seed, progress=False)
        tried = search_all(surrogate, task.dataset, study, n_trials, seed)
        predictor = _predictor(surrogate, others)
        mine = np.array([other.metric == task.metric for other in others.tasks])
        alone = predictor(X).numpy()[:, mine]
        together = alone @ predictor.relevance(task.dataset).numpy()[mine]
    predicted = dict(zip(compress(others.labels, mine), alone.T, strict=True))
    found = {method: values[positions] for method, positions in tried.items()}
    return Outcome.of(target, seed, values, found, predicted, together)


def others_of(history: MetaDataset, target: str) -> MetaDataset:
    """Take the target and its copies out: a copy would teach the target's own values."""
    copies = history.copies(target)
    if copies:
        _logger.warning(
            "The studies %s hold the trials of %r, so they are left out with it.", copies, target
        )
    return history.without(target, *copies)


def search_all(
    surrogate: MetaSurrogate,
    dataset: DatasetSample | None,
    study: Observations,
    n_trials: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Search a study's measured architectures once with transfer and five times without.

    Args:
        surrogate: Meta-trained on other studies.
        dataset: The study's data set, if known.
        study: All of its ``m`` different architectures and their values.
        n_trials: Trials of each search; fewer if fewer architectures were measured.
        seed: Seed of the searches.

    Returns:
        By method, ``s x n`` positions of the architectures that the ``s`` searches met, in order.
    """
    n_trials = min(n_trials, len(study.X))
    untrained = MetaSurrogate(surrogate.space, surrogate.config)
    transferring = Suggester(StudyPosterior(surrogate.restricted_to(study.X), dataset))
    starting = Suggester(StudyPosterior(untrained.restricted_to(study.X), None))
    seeds = range(seed * _N_WITHOUT, (seed + 1) * _N_WITHOUT)
    return {
        WITH: np.stack([replay(transferring, study, n_trials, seed)]),
        WITHOUT: np.stack([replay(starting, study, n_trials, s) for s in seeds]),
    }


def measured(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Give a task's ``m`` different architectures ``m x P`` and the mean value of each: ``m``."""
    X, which = np.unique(task.X, axis=0, return_inverse=True)
    sums = np.bincount(which.ravel(), weights=finite(task.y))
    return X, sums / np.bincount(which.ravel())


def replay(suggester: Suggester, study: Observations, n_trials: int, seed: int) -> np.ndarray:
    """Search measured architectures one after the other, as TNASSampler does with this seed.

    Args:
        suggester: Suggests among the architectures.
        study: All of the ``m`` different architectures and their values.
        n_trials: Number of trials, at most ``m``.
        seed: Seed of the search.

    Returns:
        ``n_trials`` positions, in the order met.
    """
    tried: list[int] = []
    for number in range(n_trials):
        X = study.X[tried]
        so_far = replace(study, X=X, y=study.y[tried], avoided=X)
        row = suggester.suggest(so_far, {}, np.random.default_rng([seed, number, 0]))
        tried.extend(positions(row[None], study.X).tolist())
    return np.array(tried)


def _predictor(surrogate: MetaSurrogate, others: MetaDataset) -> PastPredictor:
    """Predict from the other studies, even if the paper's model, which does not, is configured."""
    past = surrogate.past or past_studies(surrogate, others)
    return PastPredictor(past, surrogate.network, surrogate.structure)


# --- figures --------------------------------------------------------------------------------


def expected_best(values: np.ndarray, n_trials: int) -> np.ndarray:
    """Compute the expected best value after 1, 2, ... draws without replacement: ``n_trials``."""
    ordered = np.sort(values)
    ranks = np.arange(1, len(values) + 1)
    drawn = np.arange(n_trials)[:, None]
    # Probability that all draws are among the k lowest, for every k: n_trials x m.
    among_lowest = np.cumprod((ranks - drawn).clip(0) / (len(values) - drawn), axis=0)
    return np.asarray(np.diff(among_lowest, axis=1, prepend=0.0) @ ordered)


def expected_trials(n: int, n_top: int, n_trials: int) -> float:
    """Compute the expected number of draws without replacement until the first top value.

    Args:
        n: Number of values.
        n_top: How many of them are top values.
        n_trials: Number of draws; ``n_trials + 1`` count if none of them is a top value.
    """
    drawn = np.arange(n_trials)
    still_none = np.cumprod((n - n_top - drawn).clip(0) / (n - drawn))
    return float(1 + still_none.sum())


def n_top(values: np.ndarray) -> int:
    """Count the values among the best 5 %, ties included."""
    return int(_is_top(values, values).sum())


def _is_top(found: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Tell which of the values found are among the best 5 % of all."""
    rank = max(1, len(values) // _TOP_SHARE)
    return np.asarray(found >= np.sort(values)[-rank])


def _trials_until_top(best: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Count trials until a top value: ``s x n`` best so far -> ``s``; n + 1 for none."""
    return np.asarray(1 + (~_is_top(best, values)).sum(axis=1))


def _regret(best: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Scale to 0 at the best value and 1 at the median (the worst if the median is the best)."""
    top = values.max()
    scales = (top - np.median(values), top - values.min(), 1.0)
    return np.asarray((top - best) / next(scale for scale in scales if scale > 0))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Compute Spearman's coefficient of ``n`` and ``n`` values; 0 if either are all equal."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)
