"""Which training recipe ranks cells repeatably, and at what cost?

Trains the same random cells twice on each image set, with two seeds, and prints the rank
correlation between the two runs of accuracy and of held-out log loss, the best values, and the
seconds per cell: ``python -m benchmarks.questions.training_noise mnist cifar10``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import platform

import numpy as np
import optuna
from scipy.stats import spearmanr
import torch
from tqdm import tqdm

from benchmarks.build.load_images import load_images
from benchmarks.build.load_images import StoredImages
from benchmarks.common import markdown
from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.demo.cell_training import Result
from optuna_tnas.demo.cell_training import train_and_evaluate
from optuna_tnas.spaces import NASBench201Space


CANDIDATES = {
    "2 cells, 4 epochs": Recipe(cells_per_stage=2, epochs=4),
    "1 cell, 4 epochs": Recipe(cells_per_stage=1, epochs=4),
    "1 cell, 8 epochs": Recipe(cells_per_stage=1, epochs=8),
}
N_CELLS = 12
SEEDS = (0, 1)


def measure(recipe: Recipe, data: StoredImages) -> Iterator[list[Result]]:
    """Train each of the random cells with every seed."""
    space = NASBench201Space()
    for row in space.sample(N_CELLS, np.random.default_rng(0)):
        ops = list(space.decode(row).values())
        yield [
            train_and_evaluate(ops, data.images, data.labels, data.split, recipe, seed)
            for seed in SEEDS
        ]


HEADS = [
    "set",
    "recipe",
    "Spearman accuracy",
    "Spearman log loss",
    "best accuracy",
    "best log loss",
    "seconds/cell",
    "worst",
]


def figures(results: list[list[Result]]) -> list[str]:
    """Format two rank correlations, the best accuracy and log loss, mean and worst seconds."""
    accuracy = np.array([[r.accuracy for r in runs] for runs in results])
    log_loss = np.array([[r.log_loss for r in runs] for runs in results])
    seconds = np.array([[r.seconds for r in runs] for runs in results])
    return [
        f"{spearmanr(*accuracy.T).statistic:.2f}",
        f"{spearmanr(*log_loss.T).statistic:.2f}",
        f"{accuracy.max():.3f}",
        f"{log_loss.min():.3f}",
        f"{seconds.mean():.2f}",
        f"{seconds.max():.2f}",
    ]


def rows(datasets: Sequence[str]) -> Iterator[list[str]]:
    """Yield the table's row of each image set and recipe as soon as its cells are trained."""
    for name in datasets:
        data = load_images(name)
        for label, recipe in CANDIDATES.items():
            runs = list(tqdm(measure(recipe, data), f"{name}, {label}", N_CELLS, leave=False))
            yield [name, label, *figures(runs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+", help="names of image sets")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy "
        f"{np.__version__}, optuna {optuna.__version__}; one thread, {N_CELLS} random cells, "
        f"seeds {SEEDS}.\n"
    )
    for line in markdown.table(HEADS, rows(arguments.datasets)):
        print(line, flush=True)
    print("\n" + "\n".join(f"- {label}: `{recipe}`" for label, recipe in CANDIDATES.items()))


if __name__ == "__main__":
    main()
