r"""Train random cells on image sets and keep them as Optuna studies: a history to transfer from.

    python -m benchmarks.build.collect_cells \
        --storage sqlite:///history.db --datasets mnist,cifar10

One study per image set, named after it, minimizes the held-out log loss. Its last cells are
trained with a second seed as well, whose losses are attributes of the trials, so that the noise is
known. A cell enters its study only once it is trained, so the same command again, after whatever
end, does just what is missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from functools import lru_cache
import sys
from zlib import crc32

import numpy as np
import optuna
from optuna.trial import create_trial
from optuna.trial import TrialState
from tqdm import tqdm

from benchmarks import workers
from benchmarks.build.load_images import load_images
from benchmarks.build.load_images import StoredImages
from benchmarks.common.networks import distinct
from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.demo.cell_training import Result
from optuna_tnas.demo.cell_training import train_and_evaluate
from optuna_tnas.spaces import NASBench201Space


SPACE = NASBench201Space()


@dataclass(frozen=True)
class CellTraining:
    """One cell (its row of choice positions) to train on one image set, with one or two seeds."""

    dataset: str
    row: tuple[int, ...]
    recipe: Recipe
    seeds: tuple[int, ...]


def cells(dataset: str, n_cells: int, n_shared: int, seed: int) -> list[tuple[int, ...]]:
    """Draw random cells that compute different things; the first ``n_shared`` are on every set."""
    own_rng = np.random.default_rng([seed, crc32(dataset.encode())])
    shared = SPACE.sample(2 * n_shared + 10, np.random.default_rng(seed))
    shared = distinct(SPACE, shared)[:n_shared]
    own = SPACE.sample(2 * n_cells + 10, own_rng)
    X = distinct(SPACE, np.concatenate([shared, own]))[:n_cells]
    return [tuple(row) for row in X.tolist()]


def collect(
    storage: str,
    datasets: Sequence[str],
    n_cells: int,
    n_shared: int,
    n_twice: int,
    n_workers: int,
    seed: int,
    recipe: Recipe,
) -> None:
    """Train what is missing, image set by image set, in ``n_workers`` processes.

    The last ``n_twice`` of the ``n_cells`` are trained with ``seed`` and ``seed + 1``.
    """
    studies = {name: _study(storage, name, recipe) for name in datasets}
    seeds = [(seed,)] * (n_cells - n_twice) + [(seed, seed + 1)] * n_twice
    tasks = [
        CellTraining(name, row, recipe, cell_seeds)
        for name, study in studies.items()
        for row, cell_seeds in zip(cells(name, n_cells, n_shared, seed), seeds, strict=True)
        if row not in _trained(study)
    ]
    total = len(datasets) * n_cells
    with (
        workers.pool(n_workers) as pool,
        tqdm(total=total, initial=total - len(tasks), unit="cell") as bar,
    ):
        # Only this process writes to the storage, so any storage does for many workers.
        for task, results in zip(tasks, pool.map(_train, tasks), strict=True):
            _add(studies[task.dataset], task, results)
            bar.set_description(task.dataset, refresh=False)
            bar.update()


def _study(storage: str, name: str, recipe: Recipe) -> optuna.Study:
    """Create or continue the image set's study; exit if it holds another recipe's losses."""
    data = load_images(name)
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    if study.user_attrs.get("recipe", asdict(recipe)) != asdict(recipe):
        sys.exit(
            f"Study {name!r} was collected with {study.user_attrs['recipe']}, whose losses do "
            "not compare with the present recipe's; give another --storage."
        )
    attributes = {"recipe": asdict(recipe), "source": data.source, "licence": data.licence}
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    return study


def _trained(study: optuna.Study) -> set[tuple[int, ...]]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return {tuple(SPACE.encode(trial.params).tolist()) for trial in trials}


def _add(study: optuna.Study, task: CellTraining, results: Sequence[Result]) -> None:
    first, *second = results
    attributes = {
        "accuracy": first.accuracy,
        "seconds": first.seconds,
        "n_parameters": first.n_parameters,
    }
    for result in second:
        attributes |= {"second_log_loss": result.log_loss, "second_accuracy": result.accuracy}
    study.add_trial(
        create_trial(
            value=first.log_loss,
            params=SPACE.decode(np.array(task.row)),
            distributions=dict(SPACE.distributions()),
            user_attrs=attributes,
            intermediate_values=dict(enumerate(first.curve, start=1)),
        )
    )


def _train(task: CellTraining) -> list[Result]:
    data = _images(task.dataset)
    ops = list(SPACE.decode(np.array(task.row)).values())
    return [
        train_and_evaluate(ops, data.images, data.labels, data.split, task.recipe, seed)
        for seed in task.seeds
    ]


@lru_cache(maxsize=1)
def _images(name: str) -> StoredImages:
    return load_images(name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", required=True, help="Optuna storage URL")
    parser.add_argument("--datasets", required=True, help="image sets, separated by commas")
    parser.add_argument("--cells", type=int, default=100, help="cells per image set")
    parser.add_argument("--shared", type=int, default=30, help="of these, the same on all sets")
    parser.add_argument("--twice", type=int, default=10, help="of these, with two seeds")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--seed", type=int, default=0, help="of the cells and their training")
    return parser.parse_args()


def main() -> None:
    a = _arguments()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = list(dict.fromkeys(a.datasets.split(",")))
    collect(a.storage, names, a.cells, a.shared, a.twice, a.workers, a.seed, Recipe())


if __name__ == "__main__":
    main()
