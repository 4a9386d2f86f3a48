"""Families of tasks from tables of real measurements: one file each.

A new table is a file with a function ``family()`` and an entry in ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from benchmarks.tasks import hpobench
from benchmarks.tasks import hpolib
from benchmarks.tasks import mobilenetv3
from benchmarks.tasks import nasbench201
from benchmarks.tasks import nasbenchgraph
from benchmarks.tasks import transnas
from benchmarks.tasks.base import Archive
from benchmarks.tasks.base import Family
from benchmarks.tasks.base import Hyperparameter
from benchmarks.tasks.base import Measurement
from benchmarks.tasks.base import regret
from benchmarks.tasks.base import RepeatedTask
from benchmarks.tasks.base import SearchSpace
from benchmarks.tasks.base import SearchTask
from benchmarks.tasks.base import TableError
from benchmarks.tasks.base import TableTask


__all__ = [
    "FAMILIES",
    "JOINT",
    "Archive",
    "Family",
    "Hyperparameter",
    "Measurement",
    "RepeatedTask",
    "SearchSpace",
    "SearchTask",
    "TableError",
    "TableTask",
    "load",
    "regret",
]


FAMILIES: dict[str, Callable[[], Family]] = {
    "nasbench201": nasbench201.family,
    "nasbench201x5": nasbench201.family_of_five,
    "transnas": transnas.family,
    "nasbenchgraph": nasbenchgraph.family,
    "mobilenetv3": mobilenetv3.family,
    "hpolib": hpolib.family,
    "hpobench": hpobench.family,
}
JOINT = ("hpolib", "hpobench")  # those with hyper-parameters beside the architecture


@cache
def load(name: str) -> Family:
    """Load a family by name, once per process.

    Raises:
        TableError: If its table is not there.
    """
    return FAMILIES[name]()
