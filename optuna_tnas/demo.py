"""The demo: search cells for scikit-learn's digits, starting from what other image sets taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import Trial
from tqdm import tqdm

from optuna_tnas import dashboard
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import StudyError
from optuna_tnas.meta.shipped import shipped_history
from optuna_tnas.meta.training import meta_train
from optuna_tnas.recipe import Recipe
from optuna_tnas.recipe import Result
from optuna_tnas.recipe import train_and_evaluate
from optuna_tnas.sampler import TNASSampler
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.surrogate.prior import MetaSurrogate


# The shipped study that must not be learned from, since the demo searches on its data set.
TARGET = "sklearn_digits"
METHODS = ("TNAS", "random")

_N_FRESH_SEEDS = 3
_FIRST_FRESH_SEED = 1000


@dataclass(frozen=True)
class Digits:
    """scikit-learn's digits as ``train_and_evaluate`` takes them."""

    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray

    @classmethod
    def load(cls) -> Digits:
        """1,797 images of 8 x 8 pixels; every fifth one is held out."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = (digits.images * (255 / 16)).astype(np.uint8)[..., None]
        split = (np.arange(len(images)) % 5 == 0).astype(np.int64)
        return cls(images, digits.target.astype(np.int64), split)

    def sample(self) -> DatasetSample:
        """What the surrogate sees of the data set: training images only."""
        train = self.split == 0
        return DatasetSample.from_arrays(self.images[train], self.labels[train])


@dataclass(frozen=True)
class Row:
    """One search in the closing table.

    Attributes:
        method: ``"TNAS"`` or ``"random"``.
        seed: Of the sampler.
        best: Lowest held-out log loss that the search saw.
        fresh: Its cell's mean log loss over trainings with seeds that no search used.
        accuracy: Their mean held-out accuracy.
        trials_to_match: Trials until the search saw a log loss as low as the best that random
            search with the same seed ever saw; None if it never did.
        seconds: Wall time of the search.
    """

    method: str
    seed: int
    best: float
    fresh: float
    accuracy: float
    trials_to_match: int | None
    seconds: float


class Demo:
    """Meta-training, then paired searches whose trials really train networks.

    Args:
        storage: Where the studies are kept; those of an earlier run are continued.
        n_trials: Trials of each search.
        n_seeds: Searches of each sampler.
        seed: First of their seeds.
        recipe: How each cell is trained.
    """

    def __init__(
        self, storage: str, n_trials: int, n_seeds: int, seed: int, recipe: Recipe | None = None
    ) -> None:
        self._storage = storage
        self._n_trials = n_trials
        self._seeds = range(seed, seed + n_seeds)
        self._recipe = recipe or Recipe()
        self._space = NASBench201Space()
        self._digits = Digits.load()
        # One cell and one seed give one result, so a cell met twice is trained once.
        self._train = lru_cache(maxsize=None)(self._train_uncached)

    def run(self) -> list[Row]:
        """Do it all, with progress bars on standard error."""
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
        history = shipped_history()
        if TARGET in [task.name for task in history.tasks]:
            history = history.without(TARGET)
        print(
            f"Learning from {history.n_trials} cells trained on {len(history.tasks)} image sets: "
            + ", ".join(task.name for task in history.tasks)
        )
        return meta_train(history, seed=0, progress=True)

    def _sampler(self, method: str, meta: MetaSurrogate, seed: int) -> BaseSampler:
        if method == "random":
            return RandomSampler(seed=seed)
        return TNASSampler(meta, dataset=self._digits.sample(), seed=seed)

    def _search(self, sampler: BaseSampler, seed: int) -> tuple[Study, float]:
        method = "TNAS" if isinstance(sampler, TNASSampler) else "random"
        study = optuna.create_study(
            study_name=f"digits-{method.lower()}-{seed}",
            storage=self._storage,
            sampler=sampler,
            direction="minimize",
            load_if_exists=True,
        )
        self._check_recipe(study)
        start = perf_counter()
        done = len(dashboard.incumbents(study))
        with tqdm(total=self._n_trials, initial=done, desc=f"{method}, seed {seed}") as bar:
            study.optimize(
                self._objective(seed),
                n_trials=max(0, self._n_trials - done),
                callbacks=[_progress(bar)],
            )
        return study, perf_counter() - start

    def _check_recipe(self, study: Study) -> None:
        recipe = asdict(self._recipe)
        if study.user_attrs.get("recipe", recipe) != recipe:
            raise StudyError(
                f"The study {study.study_name!r} in {self._storage} was made with the recipe "
                f"{study.user_attrs['recipe']}; give another --storage."
            )
        study.set_user_attr("recipe", recipe)

    def _objective(self, seed: int) -> Callable[[Trial], float]:
        def objective(trial: Trial) -> float:
            cell = tuple(self._space.suggest(trial).values())
            result = self._train(cell, seed)
            trial.set_user_attr("accuracy", result.accuracy)
            trial.set_user_attr("n_parameters", result.n_parameters)
            return result.log_loss

        return objective

    def _train_uncached(self, cell: tuple[str, ...], seed: int) -> Result:
        d = self._digits
        return train_and_evaluate(cell, d.images, d.labels, d.split, self._recipe, seed)

    def _row(
        self, seed: int, method: str, searches: dict[tuple[int, str], tuple[Study, float]]
    ) -> Row:
        study, seconds = searches[seed, method]
        random_study, _ = searches[seed, "random"]
        cell = tuple(study.best_params.values())
        fresh = [
            self._train(cell, _FIRST_FRESH_SEED + i)
            for i in tqdm(range(_N_FRESH_SEEDS), desc="measuring anew", leave=False)
        ]
        so_far = enumerate(dashboard.incumbents(study), start=1)
        matched = (n for n, best in so_far if best <= random_study.best_value)
        return Row(
            method=method,
            seed=seed,
            best=study.best_value,
            fresh=float(np.mean([r.log_loss for r in fresh])),
            accuracy=float(np.mean([r.accuracy for r in fresh])),
            trials_to_match=next(matched, None),
            seconds=seconds,
        )


def _progress(bar: Any) -> Callable[[Study, Any], None]:
    def update(study: Study, _: Any) -> None:
        bar.update()
        bar.set_postfix(best=f"{study.best_value:.4f}")

    return update


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table, with the mean of each method below."""
    header = (
        "| sampler | seed | best log loss | same cell, fresh seeds | accuracy | "
        "trials to random's best | seconds |\n|---|---|---|---|---|---|---|\n"
    )
    lines = [
        f"| {r.method} | {r.seed} | {r.best:.4f} | {r.fresh:.4f} | {r.accuracy:.2%} | "
        f"{r.trials_to_match or '-'} | {r.seconds:.0f} |"
        for r in rows
    ]
    for method in METHODS:
        mine = [r for r in rows if r.method == method]
        best, fresh, accuracy, seconds = (
            np.mean([getattr(r, name) for r in mine])
            for name in ("best", "fresh", "accuracy", "seconds")
        )
        lines.append(
            f"| **{method}** | mean | {best:.4f} | {fresh:.4f} | {accuracy:.2%} | | "
            f"{seconds:.0f} |"
        )
    return header + "\n".join(lines)
