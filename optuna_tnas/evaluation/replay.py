"""A past study searched again as if it were new, with and without what the others teach.

A replay finds what was measured and nothing else, and takes the measured values for the truth:
what was lucky then counts as good now.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from optuna_tnas.config import Config
from optuna_tnas.errors import HistoryError
from optuna_tnas.meta.past import past_of
from optuna_tnas.meta.training import meta_train
from optuna_tnas.search.suggester import Suggester
from optuna_tnas.spaces.rows import positions
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.studies.trials import Observations
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.outcomes import finite


WITH, WITHOUT, RANDOM = METHODS = ("with transfer", "without", "random")

# One architecture in so many is among the best, at least one.
_ONE_IN = 20
# Searches without transfer begin at random. They need no meta-training, so there are several.
_N_WITHOUT = 5


@dataclass(frozen=True)
class Outcome:
    """One past study, the target, searched anew with one seed.

    Attributes:
        target: The study's name.
        seed: Of the meta-training on the other studies and of the searches.
        architectures: How many different ones were measured.
        trials: By method, trials until one of the best 5 % is found; one more than there are
            trials if that does not happen.
        regret: By method, ``(best - found) / (best - median)`` after 1, 2, ... trials.
        prediction: Rank correlation of the measured values with what the other studies together
            predict before the first trial.
        sources: The same of what each of them alone predicts, by its name.
    """

    target: str
    seed: int
    architectures: int
    trials: dict[str, float]
    regret: dict[str, list[float]]
    prediction: float
    sources: dict[str, float]


def check(history: MetaDataset) -> None:
    """Raises :class:`HistoryError` if there are no others to learn from when one is left out."""
    if len(history.tasks) < 2:
        raise HistoryError(
            "Each study is searched with what the others teach, so at least two are needed; the "
            f"history holds just {history.tasks[0].name!r}."
        )


def leave_out(
    history: MetaDataset, target: str, seed: int, *, config: Config, n_trials: int
) -> Outcome:
    """Meta-train on the other studies, then search the target's architectures.

    Args:
        history: The past studies.
        target: The name of the one that is searched.
        seed: Of everything random.
        config: Of the surrogate, with and without transfer.
        n_trials: Trials of each search; fewer if fewer architectures were measured.

    Raises:
        HistoryError: If there is no such study or no other one, or the data set samples differ in
            width.
    """
    others = history.without(target)
    task = next(task for task in history.tasks if task.name == target)
    X, values = measured(task)
    n_trials = min(n_trials, len(values))
    with controlled_numerics():
        surrogate = meta_train(others, config=config, seed=seed, progress=False)
        untrained = MetaSurrogate(history.space, config).requires_grad_(False).eval()
        informed = Suggester(surrogate.confined(X), task.dataset)
        ignorant = Suggester(untrained.confined(X), None)
        seeds = range(seed * _N_WITHOUT, (seed + 1) * _N_WITHOUT)
        found = {
            WITH: [replay(informed, X, values, n_trials, seed)],
            WITHOUT: [replay(ignorant, X, values, n_trials, s) for s in seeds],
        }
        predictor = _predictor(surrogate, others)
        alone = predictor.predictions(X).numpy()
        together = alone @ predictor.relevance(task.dataset).numpy()
    best = {name: np.maximum.accumulate(found[name], axis=1) for name in found}
    means = {name: best[name].mean(axis=0) for name in best}
    means[RANDOM] = expected_best(values, n_trials)
    trials = {name: float(np.mean(_trials_until_top(best[name], values))) for name in best}
    trials[RANDOM] = expected_trials(len(values), int(_is_top(values, values).sum()), n_trials)
    return Outcome(
        target=target,
        seed=seed,
        architectures=len(values),
        trials=trials,
        regret={name: _regret(means[name], values).tolist() for name in METHODS},
        prediction=rank_correlation(together, values),
        sources={
            other.name: rank_correlation(prediction, values)
            for other, prediction in zip(others.tasks, alone.T, strict=True)
        },
    )


def measured(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """The task's ``m`` different architectures ``m x P``, and the mean value of each: ``m``."""
    X, which = np.unique(task.X, axis=0, return_inverse=True)
    sums = np.bincount(which.ravel(), weights=finite(task.y))
    return X, sums / np.bincount(which.ravel())


def replay(
    suggester: Suggester, X: np.ndarray, values: np.ndarray, n_trials: int, seed: int
) -> np.ndarray:
    """The values that a sequential search among ``m x P`` architectures meets: ``n_trials``.

    It is the search of :class:`~optuna_tnas.TNASSampler` with this seed.
    """
    tried: list[int] = []
    for number in range(n_trials):
        study = Observations(X[tried], values[tried], pending=X[:0], avoided=X[tried])
        row = suggester.suggest(study, {}, np.random.default_rng([seed, number, 0]))
        tried.extend(positions(row[None], X).tolist())
    return np.asarray(values[tried])


def _predictor(surrogate: MetaSurrogate, others: MetaDataset) -> MetaSurrogate:
    """With what the others predict, even if the published GP is configured."""
    predictor = copy(surrogate)
    predictor.past = surrogate.past or past_of(surrogate, others)
    return predictor


# --- figures --------------------------------------------------------------------------------


def expected_best(values: np.ndarray, n_trials: int) -> np.ndarray:
    """The best value after 1, 2, ... draws without replacement, in expectation: ``n_trials``."""
    ordered = np.sort(values)
    ranks = np.arange(1, len(values) + 1)
    drawn = np.arange(n_trials)[:, None]
    # That all draws are among the k lowest, for every k: n_trials x m.
    among_lowest = np.cumprod((ranks - drawn).clip(0) / (len(values) - drawn), axis=0)
    return np.asarray(np.diff(among_lowest, axis=1, prepend=0.0) @ ordered)


def expected_trials(n: int, n_top: int, n_trials: int) -> float:
    """Draws without replacement until one of ``n_top`` among ``n`` appears, in expectation.

    ``n_trials + 1`` count if none of the first ``n_trials`` is one.
    """
    drawn = np.arange(n_trials)
    still_none = np.cumprod((n - n_top - drawn).clip(0) / (n - drawn))
    return float(1 + still_none.sum())


def _is_top(found: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which of the values found are among the best 5 % of all."""
    n_top = max(1, len(values) // _ONE_IN)
    return np.asarray(found >= np.sort(values)[-n_top])


def _trials_until_top(best: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``s x n`` best values so far -> ``s``; n + 1 for searches that find none."""
    return np.asarray(1 + (~_is_top(best, values)).sum(axis=1))


def _regret(best: np.ndarray, values: np.ndarray) -> np.ndarray:
    """0 at the best measured value, 1 at the median (at the worst if the median is the best)."""
    top = values.max()
    scales = (top - np.median(values), top - values.min(), 1.0)
    return np.asarray((top - best) / next(scale for scale in scales if scale > 0))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, of ``n`` and ``n`` values; 0 if either are all equal."""
    ranks = rankdata(a), rankdata(b)
    if any(r.min() == r.max() for r in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])
