r"""Build the checkpoints that the package ships, each with a card.

    python -m benchmarks.build.ship_checkpoints nasbench201 mobilenetv3 \
        --out optuna_tnas/data/checkpoints

Needs the tables of ``OPTUNA_TNAS_DATA``; the image sets' cells are the package's own history. The
card, which ``optuna-tnas inspect NAME`` prints, says how well a task is predicted before its first
trial: the Spearman coefficient of the prediction with the values, by surrogates of the same making
that did not learn from it, nor from another third of the tasks.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
import torch

from benchmarks import tasks
from benchmarks.tasks import mobilenetv3
from benchmarks.tasks import reading
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.studies.history import Task


N_FOLDS = 3
# The tables' tasks count as several studies each, for as many as there are image sets in all.
TABLES = ("c10", "c100", "in16")
N_STUDIES = 6
N_CELLS = 200  # of each study

ABOUT = {
    "nasbench201": {
        "trained on": "NAS-Bench-201 cells: 100 on each of 19 small image sets (one run of 4 "
        "epochs, 16 x 16 pixels, log loss), and 1,200 of the published validation accuracies of "
        "one run of 200 epochs on each of CIFAR-10, CIFAR-100 and ImageNet16-120",
        "not for": "figures on these tasks (it has seen them); tasks unlike image "
        "classification: see ninapro, on which it predicts next to nothing",
    },
    "mobilenetv3": {
        "trained on": "once-for-all MobileNetV3 networks that others' searches left: ImageNet "
        "(2,223, of which 2,000 predict), CIFAR-10 (673), CIFAR-100 (321), CINIC-10 (307), SVHN "
        "(347); top-1 accuracies with the supernet's weights",
        "not for": "figures on these tasks (it has seen them); networks trained from scratch; "
        "other resolutions than 224, and objectives that weigh cost against accuracy",
    },
}


def history(name: str, left_out: Collection[str] = ()) -> MetaDataset:
    """Build a checkpoint's history, without the tasks (of tables or image sets) of these names."""
    whole = {"nasbench201": _nasbench201, "mobilenetv3": _mobilenetv3}[name]()
    kept = tuple(task for task in whole.tasks if task_of(task) not in left_out)
    return MetaDataset(whole.space, kept)


def task_of(study: Task) -> str:
    """Return the name of a study's task: the part before the dot."""
    return study.name.split(".")[0]


def _nasbench201() -> MetaDataset:
    collected = shipped_history()
    family = tasks.load("nasbench201x5")
    X = np.unique(collected.space.enumerate(), axis=0)
    studies = []
    for name in TABLES:
        order = np.random.default_rng(len(studies)).permutation(len(X))
        for i, rows in enumerate(order[: N_STUDIES * N_CELLS].reshape(N_STUDIES, N_CELLS)):
            y = [family.tasks[name].evaluate(row).value for row in X[rows]]
            studies.append(Task(f"{name}.{i + 1}", X[rows], np.array(y)))
    return MetaDataset(collected.space, (*collected.tasks, *studies))


def _mobilenetv3() -> MetaDataset:
    table = reading.table("ofa_mobilenetv3_imagenet")
    mean = table.groupby(["ks", "e", "d"], sort=False)["imagenet_top1"].mean()
    X = np.array([mobilenetv3.from_lists(*lists) for lists in mean.index])
    archives = tasks.load("mobilenetv3").archives
    others = [Task(name, a.X, a.values) for name, a in archives.items()]
    imagenet = Task("imagenet", X, mean.to_numpy(dtype=np.float64))
    return MetaDataset(MobileNetV3Space(), (imagenet, *others))


def build(name: str, seed: int) -> MetaSurrogate:
    """Meta-train the checkpoint and write its card."""
    surrogate = meta_train(history(name), seed=seed)
    predicts = left_out_predictions(name, seed)
    if name == "nasbench201":
        table = tasks.load("nasbench201x5")
        X = surrogate.space.enumerate()
        for unseen in ("ninapro", "darcy"):
            y = [table.tasks[unseen].evaluate(row).value for row in X]
            predicts[unseen] = spearman(surrogate, Task(unseen, X, np.array(y)))
    surrogate.provenance["card"] = {**ABOUT[name], "Spearman on tasks left out": predicts}
    return surrogate


def left_out_predictions(name: str, seed: int) -> dict[str, float]:
    """Return each task's Spearman coefficient by surrogates trained on other folds of tasks."""
    whole = history(name)
    names = sorted({task_of(task) for task in whole.tasks})
    order = np.random.default_rng(seed).permutation(len(names))
    found = {}
    for fold in range(N_FOLDS):
        left_out = [names[i] for i in order[fold::N_FOLDS]]
        surrogate = meta_train(history(name, left_out), seed=seed)
        for task in whole.tasks:
            if task_of(task) in left_out:
                found.setdefault(task_of(task), []).append(spearman(surrogate, task))
    return {task: round(float(np.mean(found[task])), 3) for task in names}


@torch.no_grad()
def spearman(surrogate: MetaSurrogate, task: Task) -> float:
    """Correlate the past's prediction with the task's values (Spearman)."""
    features = surrogate.study_model(task.dataset).features
    predicted = features(task.X)[:, features.blocks.predictions].sum(dim=1)
    return round(float(spearmanr(predicted, task.y).statistic), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=sorted(ABOUT))
    parser.add_argument("--out", type=Path, required=True, help="folder of NAME.pt")
    parser.add_argument("--seed", type=int, default=0, help="of the meta-training")
    a = parser.parse_args()
    torch.set_num_threads(1)
    a.out.mkdir(parents=True, exist_ok=True)
    for name in a.names:
        surrogate = build(name, a.seed)
        surrogate.save(a.out / f"{name}.pt")
        card: dict[str, Any] = surrogate.provenance["card"]
        print(name, card, flush=True)


if __name__ == "__main__":
    main()
