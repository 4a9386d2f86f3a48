"""Describe the package's history: cells by image set, noise, time, and similar image sets.

    python -m benchmarks.build.describe_history --out benchmarks/results

Prints the table of the image sets and writes two pictures. ``correlations.png``: Spearman
coefficients of the log losses of the cells that all image sets share. ``datasets.png``: the image
sets on the first two principal components of their descriptions (means and deviations of the
default featurizer's points), with a line to each one's nearest neighbor.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from scipy.cluster.hierarchy import leaves_list
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from benchmarks.common import markdown
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.demo.shipped_history import FOLDER
from optuna_tnas.demo.shipped_history import JOURNAL
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.studies.history import MetaDataset


@dataclass(frozen=True)
class Collected:
    """One image set's cells.

    Attributes:
        losses: ``n`` held-out log losses in nats.
        accuracies: ``n``.
        twice: ``m x 2``, log losses of the cells that were trained with two seeds.
        seconds: ``n``, of a training, on one core that had other work beside it.
        n_parameters: ``n``.
    """

    losses: np.ndarray
    accuracies: np.ndarray
    twice: np.ndarray
    seconds: np.ndarray
    n_parameters: np.ndarray


def collected() -> dict[str, Collected]:
    """Read the cells of each image set, in the order of the history."""
    storage = JournalStorage(JournalFileBackend(str(FOLDER / JOURNAL)))
    sets = {}
    for name in optuna.get_all_study_names(storage):
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
        twice = [
            (t.value, t.user_attrs["second_log_loss"])
            for t in trials
            if "second_log_loss" in t.user_attrs
        ]
        sets[name] = Collected(
            losses=np.array([t.value for t in trials]),
            accuracies=np.array([t.user_attrs["accuracy"] for t in trials]),
            twice=np.array(twice),
            seconds=np.array([t.user_attrs["seconds"] for t in trials]),
            n_parameters=np.array([t.user_attrs["n_parameters"] for t in trials]),
        )
    return sets


HEADS = [
    "image set",
    "cells",
    "log loss, best / median",
    "best accuracy",
    "twice",
    "seeds agree",
    "noise",
    "s/cell",
    "parameters",
]


def table(sets: dict[str, Collected]) -> str:
    """Format a Markdown table with a row for each image set and one for all."""
    rows = [_row(name, c) for name, c in sets.items()]
    return "\n".join(markdown.table(HEADS, [*rows, _total(list(sets.values()))]))


def _row(name: str, c: Collected) -> list[str]:
    return [
        name,
        f"{len(c.losses)}",
        f"{c.losses.min():.3f} / {np.median(c.losses):.3f}",
        f"{c.accuracies.max():.3f}",
        f"{len(c.twice)}",
        f"{agreement(c):.2f}",
        f"{noise(c):.2f}",
        f"{c.seconds.mean():.2f}",
        f"{c.n_parameters.min():,} to {c.n_parameters.max():,}",
    ]


def _total(sets: Sequence[Collected]) -> list[str]:
    """Sum cells and hours, average agreement and noise."""
    n = sum(len(c.losses) for c in sets)
    n_twice = sum(len(c.twice) for c in sets)
    hours = sum(c.seconds.sum() for c in sets) / 3600
    means = [f"{np.mean([figure(c) for c in sets]):.2f}" for figure in (agreement, noise)]
    return [f"**{len(sets)}**", f"{n}", "", "", f"{n_twice}", *means, f"{hours:.1f} h in all", ""]


def agreement(c: Collected) -> float:
    """Return the Spearman coefficient of the two log losses of cells with two seeds."""
    return float(spearmanr(*c.twice.T).statistic)


def noise(c: Collected) -> float:
    """Divide the seeds' standard deviation by the cells', both of the losses' logarithms."""
    first, second = np.log(c.twice).T
    seeds = np.sqrt(np.mean((first - second) ** 2) / 2)
    return float(seeds / np.log(c.losses).std())


def shared_losses(history: MetaDataset) -> np.ndarray:
    """Return ``Q x n`` log losses of the cells that all image sets share."""
    of_cell = [{row.tobytes(): -y for row, y in zip(t.X, t.y, strict=True)} for t in history.tasks]
    shared = sorted(set.intersection(*(set(losses) for losses in of_cell)))
    return np.array([[losses[cell] for cell in shared] for losses in of_cell])


def description(sample: DatasetSample) -> np.ndarray:
    """Return ``2F`` means and deviations of a data set's points."""
    return np.concatenate([sample.points.mean(axis=0), sample.points.std(axis=0)])


def standardized(descriptions: np.ndarray) -> np.ndarray:
    spread = descriptions.std(axis=0)
    return np.asarray((descriptions - descriptions.mean(axis=0)) / np.where(spread > 0, spread, 1))


def nearest(D: np.ndarray) -> np.ndarray:
    """Return the position of each row's nearest neighbor."""
    distance = np.linalg.norm(D[:, None] - D[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance.argmin(axis=1))


def halves_found(history: MetaDataset) -> float:
    """Return the share of half data sets whose nearest neighbor is their other half."""
    samples = [t.dataset for t in history.tasks if t.dataset is not None]
    rng = np.random.default_rng(0)
    halves = []
    for sample in samples:
        order = rng.permutation(len(sample.points))
        for half in np.array_split(order, 2):
            halves.append(description(DatasetSample(sample.points[half], sample.labels[half])))
    # The last three features are the same for both halves by their making.
    told = np.delete(np.array(halves), [-1, -2, -3, *(N_FEATURES - np.arange(1, 4))], axis=1)
    neighbor = nearest(standardized(told))
    return float(np.mean(neighbor == np.arange(len(halves)) ^ 1))


# --- pictures -------------------------------------------------------------------------------


def draw_correlations(R: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draw a heat map in which sets that rank cells alike are beside each other."""
    import matplotlib.pyplot as plt

    distance = np.clip(1 - R, 0, None)
    np.fill_diagonal(distance, 0)
    order = leaves_list(linkage(squareform(distance, checks=False), "average"))
    figure, axes = plt.subplots(figsize=(9, 8), layout="constrained")
    image = axes.imshow(R[np.ix_(order, order)], cmap="RdBu", vmin=-1, vmax=1)
    labels = [names[i] for i in order]
    axes.set_xticks(range(len(R)), labels, rotation=90)
    axes.set_yticks(range(len(R)), labels)
    for i, a in enumerate(order):
        for j, b in enumerate(order):
            color = "white" if abs(R[a, b]) > 0.7 else "black"
            axes.text(j, i, f"{R[a, b]:.1f}", ha="center", va="center", size=7, color=color)
    figure.colorbar(image, label="Spearman coefficient of the shared cells' log losses")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_datasets(D: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draw two principal components and a line from each set to its nearest in all components."""
    import matplotlib.pyplot as plt

    U, s, _ = np.linalg.svd(D, full_matrices=False)
    P = (U * s)[:, :2]
    figure, axes = plt.subplots(figsize=(9, 7), layout="constrained")
    for i, j in enumerate(nearest(D)):
        axes.plot(*P[[i, j]].T, color="lightgray", zorder=0)
    axes.scatter(*P.T, s=25)
    axes.margins(x=0.12)
    for name, (x, y) in zip(names, P, strict=True):
        axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", size=8)
    share = s[:2] ** 2 / (s**2).sum()
    axes.set_xlabel(f"first component, {share[0]:.0%} of the variance")
    axes.set_ylabel(f"second component, {share[1]:.0%}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    history = shipped_history()
    names = [task.name for task in history.tasks]
    R = np.asarray(spearmanr(shared_losses(history), axis=1).statistic)
    samples = [task.dataset for task in history.tasks if task.dataset is not None]
    D = standardized(np.array([description(sample) for sample in samples]))
    draw_correlations(R, names, out / "correlations.png")
    draw_datasets(D, names, out / "datasets.png")
    print(table(collected()))
    pairs = R[np.triu_indices(len(R), 1)]
    print(f"\nSpearman coefficient of two image sets: mean {pairs.mean():.2f}, ", end="")
    print(f"{pairs.min():.2f} to {pairs.max():.2f}")
    print(f"Halves of image sets that are nearest to each other: {halves_found(history):.0%}")
    print("Nearest neighbors: ", end="")
    print(", ".join(f"{name} - {names[j]}" for name, j in zip(names, nearest(D), strict=True)))


if __name__ == "__main__":
    main()
