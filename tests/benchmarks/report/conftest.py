from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


Records = list[dict[str, Any]]


@pytest.fixture
def search() -> Callable[..., Records]:
    """Makes the records of one search; the last names are those of fields to be changed."""

    def make(
        method: str, seed: int, values: list[float], regrets: list[float], **fields: Any
    ) -> Records:
        past = {"history": 200, "history_by": "random", "past": None, "spoil": None}
        common = {"space": "S", "target": "T", **past, "method": method, "seed": seed}
        bests = np.maximum.accumulate(values)
        return [
            {
                **common,
                "trial": trial,
                "network": int(value * 10),
                "value": value,
                "best_value": float(best),
                "optimum": 90.0,
                "best_true": 95.0 - regret,
                "regret": regret,
                "seconds": 0.25,
                **fields,
            }
            for trial, (value, best, regret) in enumerate(zip(values, bests, regrets, strict=True))
        ]

    return make


@pytest.fixture
def example(search: Callable[..., Records]) -> Records:
    """Method ``a`` with two seeds, ``b`` with one."""
    return [
        *search("b", 0, [80, 89.8, 80, 81, 82], [3.0] * 5),
        *search("a", 1, [80, 80, 80, 90, 70], [2.0, 0.4, 0.4, 0.4, 0.3])[::-1],
        *search("a", 0, [80, 89.9, 70, 70, 70], [1.0, 0.2, 0.2, 0.2, 0.1]),
    ]


@pytest.fixture
def many(search: Callable[..., Records]) -> Records:
    """Two families of two tasks and of one, three methods, of which ``slow`` has few seeds."""
    rng = np.random.default_rng(0)
    records: Records = []
    for space, target in [("S", "T"), ("S", "U"), ("V", "W")]:
        for method, level in [("tnas", 0.5), ("tpe", 4.0), ("slow", 1.5)]:
            for seed in range(3 if method == "slow" else 5):
                regrets = np.minimum.accumulate(level * rng.exponential(size=10)).tolist()
                fields = {"space": space, "target": target}
                records += search(method, seed, [80.0] * 10, regrets, **fields)
    return records
