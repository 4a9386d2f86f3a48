"""TransNAS-Bench-101, micro: 4,096 cells on seven vision tasks; the table has one figure each."""

from __future__ import annotations

from benchmarks.tasks import reading
from benchmarks.tasks.base import Family
from benchmarks.tasks.base import TableTask
from optuna_tnas.spaces import CellSpace


OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
_TASKS = {  # name -> factor to percent
    "class_scene": 1.0,
    "class_object": 1.0,
    "room_layout": 100.0,  # minus a loss
    "jigsaw": 1.0,
    "segmentsemantic": 1.0,
    "normal": 100.0,
    "autoencoder": 100.0,
}


def family() -> Family:
    table, cells = reading.table("transnasbench101_micro"), space()
    networks = reading.network_of(cells, reading.digits(table["ops"]))
    columns = {name: scale * table[name] for name, scale in _TASKS.items()}
    return Family(cells, {n: TableTask(networks, c, c) for n, c in columns.items()})


def space() -> CellSpace:
    return CellSpace.on_edges(4, OPS, zero=("none",))
