"""Records of searches and trainings made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.live.experiment import ANEW
from benchmarks.live.store import Record
from benchmarks.live.supernet import Cell
from benchmarks.live.trainings import pruned


def cell(*ops: str) -> Cell:
    return pruned((*ops, *(6 - len(ops)) * ("skip_connect",)))


A, B, C, D = (cell(op) for op in ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "none"))
NO_PATH: Cell = 6 * ("none",)
LOSSES = {A: 0.2, B: 0.4, C: 0.6, D: 1.0, NO_PATH: 2.0}


def training(dataset: str, of: Cell, seed: int) -> Record:
    loss = LOSSES[of] + (0.1 * (seed - 1001) if seed in ANEW else 0)  # the mean stays
    return {
        "kind": "training",
        "dataset": dataset,
        "cell": list(of),
        "seed": seed,
        "validation_loss": loss,
        "test_loss": loss,
        "test_accuracy": 1 - loss / 4,
        "cpu_seconds": 2.0,
    }


def _described(dataset: str, method: str) -> Record:
    return {"kind": "search", "dataset": dataset, "method": method, "seed": 0, "unit": 2.0}


def search(dataset: str, method: str, steps: Sequence[tuple[Cell, float, float]]) -> Record:
    """Of cells, validation losses and CPU seconds."""
    return {
        **_described(dataset, method),
        "meta_cpu_seconds": 30.0 if method == "tnas" else 0.0,
        "steps": [
            {
                "cell": list(c),
                "recommended": list(steps[0][0]),
                "validation_loss": loss,
                "cpu_seconds": s,
            }
            for c, loss, s in steps
        ],
    }


def one_shot(dataset: str, method: str, epochs: int, cells: Sequence[Cell]) -> Record:
    return {
        **_described(dataset, method),
        "epochs": epochs,
        "cells": [list(c) for c in cells],
        "cpu_seconds": [18.0, 19.0],
        "wall_seconds": 20.0,
        "alpha": [],
    }


def records(dataset: str) -> list[Record]:
    random = [(D, 0.9, 2.0), (C, 0.6, 8.0), (B, 0.5, 30.0)]
    ours = [(C, 0.7, 4.0), (B, 0.5, 6.0), (A, 0.6, 12.0), (A, 0.3, 50.0)]
    return [
        *(training(dataset, c, s) for c in LOSSES for s in (0, *ANEW)),
        search(dataset, "random", random),
        search(dataset, "tnas", ours),
        one_shot(dataset, "gdas", 21, [B, NO_PATH]),
        one_shot(dataset, "gdas", 100, [D, D]),  # of the published length
    ]
