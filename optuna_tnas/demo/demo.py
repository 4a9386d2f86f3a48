"""The demo: search cells for an image set, with transfer from other image sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from functools import lru_cache
from time import perf_counter
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import BaseTrial
from optuna.trial import FixedTrial
from optuna.trial import Trial
from tqdm import tqdm

from optuna_tnas import markdown
from optuna_tnas.demo import dashboard
from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.demo.cell_training import Result
from optuna_tnas.demo.cell_training import train_and_evaluate
from optuna_tnas.demo.image_sets import digits
from optuna_tnas.demo.image_sets import ImageSet
from optuna_tnas.demo.leakage import overlapping
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.meta.training import meta_train
from optuna_tnas.sampler import TNASSampler
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.settings import check_settings
from optuna_tnas.studies.storage import open_storage
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


METHODS = ("TNAS", "random")

_N_FRESH_SEEDS = 3
_FIRST_FRESH_SEED = 1000


@dataclass(frozen=True)
class Row:
    """One search in the closing table.

    Attributes:
        method: ``"TNAS"`` or ``"random"``.
        seed: Of the sampler.
        trials: How many the search has.
        best: Lowest held-out log loss that the search saw.
        fresh: Its cell's mean log loss over trainings with seeds that no search used.
        accuracy: Their mean held-out accuracy.
        trials_to_match: Trials until the search saw a log loss as low as the best that random
            search with the same seed ever saw; None if it never did.
        seconds: Wall time of the search.
    """

    method: str
    seed: int
    trials: int
    best: float
    fresh: float
    accuracy: float
    trials_to_match: int | None
    seconds: float


class Demo:
    """Meta-training, then paired searches whose trials really train networks.

    Args:
        storage: URL of the storage of the searches; those of an earlier run are continued.
        n_trials: Trials of each search.
        n_seeds: Number of searches of each sampler.
        seed: Seed of the first search; the others count on.
        recipe: Training of each cell.
        data: Image set, scikit-learn's digits unless given.
        n_random_trials: Trials of each random search, ``n_trials`` unless given.
        history: Past studies of NAS-Bench-201 cells, the shipped ones unless given.
        hyperparameters: Whether the learning rate, the weight decay and the width are searched
            beside the cell, instead of the recipe's.

    Raises:
        StorageError: If the storage cannot be opened.
    """

    def __init__(
        self,
        storage: str,
        n_trials: int,
        n_seeds: int,
        seed: int,
        recipe: Recipe | None = None,
        data: ImageSet | None = None,
        n_random_trials: int | None = None,
        history: MetaDataset | None = None,
        *,
        hyperparameters: bool = False,
    ) -> None:
        self._url = storage
        self._storage = open_storage(storage, create=True)
        self._history = history
        self._n_trials = {"TNAS": n_trials, "random": n_random_trials or n_trials}
        self._seeds = range(seed, seed + n_seeds)
        self._recipe = recipe or Recipe()
        self._hyperparameters = hyperparameters
        self._space = NASBench201Space()
        self._data = data or digits()
        # One cell, recipe and seed give one result, so what is met twice is trained once.
        self._train = lru_cache(maxsize=None)(self._train_uncached)

    def run(self) -> list[Row]:
        """Meta-train and search, with progress bars on standard error; give a row a search."""
        meta = self._meta_train()
        searches = {}
        for seed in self._seeds:
            for method in METHODS:
                searches[seed, method] = self._search(self._sampler(method, meta, seed), seed)
        rows = [self._row(seed, method, searches) for seed, method in searches]
        for seed in self._seeds:
            pair = {method: searches[seed, method][0] for method in METHODS}
            dashboard.show_comparison(pair["TNAS"], pair, table(rows))
        return rows

    def _meta_train(self) -> MetaSurrogate:
        history = self._history or shipped_history()
        left_out = overlapping(history, self._data.name, self._data.images)
        if left_out:
            history = history.without(*left_out)
        print(f"Searching for {self._data}")
        for name, why in left_out.items():
            print(f"Not learning from {name}: {why}")
        print(
            f"Learning from {history.n_trials} cells trained on {len(history.tasks)} image sets: "
            + ", ".join(task.name for task in history.tasks)
        )
        return meta_train(history, seed=0, progress=True)

    def _sampler(self, method: str, meta: MetaSurrogate, seed: int) -> BaseSampler:
        if method == "random":
            return RandomSampler(seed=seed)
        return TNASSampler(meta, dataset=self._data.sample(), seed=seed)

    def _search(self, sampler: BaseSampler, seed: int) -> tuple[Study, float]:
        method = "TNAS" if isinstance(sampler, TNASSampler) else "random"
        kind = "-hyperparameters" if self._hyperparameters else ""
        study = optuna.create_study(
            study_name=f"{self._data.name}-{method.lower()}{kind}-{seed}",
            storage=self._storage,
            sampler=sampler,
            direction="minimize",
            load_if_exists=True,
        )
        self._check_origin(study)
        start = perf_counter()
        done, n_trials = len(dashboard.incumbents(study)), self._n_trials[method]
        with tqdm(total=n_trials, initial=done, desc=f"{method}, seed {seed}") as bar:
            study.optimize(
                self._objective(seed),
                n_trials=max(0, n_trials - done),
                callbacks=[_progress(bar)],
            )
        return study, perf_counter() - start

    def _check_origin(self, study: Study) -> None:
        """Continue a study only with the recipe and the images it was begun with."""
        origin = {"recipe": asdict(self._recipe), "dataset": self._data.fingerprint}
        where = f"The study {study.study_name!r} in {self._url}"
        check_settings(where, study.user_attrs, origin, "give another --storage")
        for key, value in origin.items():
            study.set_user_attr(key, value)

    def _objective(self, seed: int) -> Callable[[Trial], float]:
        def objective(trial: Trial) -> float:
            result = self._train(*self._asked(trial), seed)
            for epoch, log_loss in enumerate(result.curve, start=1):
                trial.report(log_loss, epoch)
            trial.set_user_attr("accuracy", result.accuracy)
            trial.set_user_attr("n_parameters", result.n_parameters)
            return result.log_loss

        return objective

    def _asked(self, trial: BaseTrial) -> tuple[tuple[str, ...], Recipe]:
        """Ask a trial for a cell and, if they are searched, for its hyper-parameters."""
        cell = tuple(self._space.suggest(trial).values())
        return cell, suggested(trial, self._recipe) if self._hyperparameters else self._recipe

    def _train_uncached(self, cell: tuple[str, ...], recipe: Recipe, seed: int) -> Result:
        d = self._data
        return train_and_evaluate(cell, d.images, d.labels, d.split, recipe, seed)

    def _row(
        self, seed: int, method: str, searches: dict[tuple[int, str], tuple[Study, float]]
    ) -> Row:
        study, seconds = searches[seed, method]
        random_study, _ = searches[seed, "random"]
        best = self._asked(FixedTrial(study.best_params))
        fresh = [
            self._train(*best, _FIRST_FRESH_SEED + i)
            for i in tqdm(range(_N_FRESH_SEEDS), desc="measuring anew", leave=False)
        ]
        so_far = enumerate(dashboard.incumbents(study), start=1)
        matched = (n for n, best in so_far if best <= random_study.best_value)
        return Row(
            method=method,
            seed=seed,
            trials=len(dashboard.incumbents(study)),
            best=study.best_value,
            fresh=float(np.mean([r.log_loss for r in fresh])),
            accuracy=float(np.mean([r.accuracy for r in fresh])),
            trials_to_match=next(matched, None),
            seconds=seconds,
        )


def suggested(trial: BaseTrial, recipe: Recipe) -> Recipe:
    """Return a recipe with the width, learning rate and weight decay that a trial suggests."""
    return replace(
        recipe,
        width=trial.suggest_int("width", 4, 16, step=2),
        learning_rate=trial.suggest_float("learning_rate", 1e-3, 1.0, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
    )


def _progress(bar: Any) -> Callable[[Study, Any], None]:
    def update(study: Study, _: Any) -> None:
        bar.update()
        bar.set_postfix(best=f"{study.best_value:.4f}")

    return update


def table(rows: list[Row]) -> str:
    """Write a Markdown table of the rows, with the mean of each method below."""
    columns = ["sampler", "seed", "trials", "best log loss", "same cell, fresh seeds", "accuracy"]
    cells: list[list[object]] = [
        [
            *(r.method, r.seed, r.trials, f"{r.best:.4f}", f"{r.fresh:.4f}", f"{r.accuracy:.2%}"),
            *(r.trials_to_match or "-", f"{r.seconds:.0f}"),
        ]
        for r in rows
    ]
    means = [_mean_row(method, [r for r in rows if r.method == method]) for method in METHODS]
    return markdown.table([*columns, "trials to random's best", "seconds"], [*cells, *means])


def _mean_row(method: str, rows: list[Row]) -> list[object]:
    trials, best, fresh, accuracy, seconds = (
        np.mean([getattr(row, name) for row in rows])
        for name in ("trials", "best", "fresh", "accuracy", "seconds")
    )
    figures = [f"{trials:g}", f"{best:.4f}", f"{fresh:.4f}", f"{accuracy:.2%}"]
    return [f"**{method}**", "mean", *figures, "", f"{seconds:.0f}"]
