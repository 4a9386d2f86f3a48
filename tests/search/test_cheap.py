"""Cheap objectives as columns, and what is refused in their name."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from optuna_tnas.errors import ObjectiveError
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node


SPACE = CellSpace([Node("a", ["x", "y", "z"]), Node("b", ["x", "y"], ["a"])])
X = SPACE.enumerate()


def test_each_objective_is_a_column() -> None:
    cheap = CheapObjectives(
        SPACE,
        {
            "sum": lambda params: float(SPACE.encode(params).sum()),
            "first": lambda params: "xyz".index(params["op_a"]),
        },
    )
    assert cheap.names == ["sum", "first"]
    np.testing.assert_array_equal(cheap.values(X), np.column_stack([X.sum(axis=1), X[:, 0]]))


def test_infinite_values_are_values() -> None:
    cheap = CheapObjectives(SPACE, {"m": lambda params: float("inf")})
    assert np.isinf(cheap.values(X)).all()


def test_errors_name_the_objective() -> None:
    cheap = CheapObjectives(SPACE, {"macs": lambda params: nan})
    with pytest.raises(ObjectiveError, match="macs"):
        cheap.values(X)
    with pytest.raises(ObjectiveError, match="cheap_objectives"):
        CheapObjectives(SPACE, {"macs": 3})  # type: ignore[dict-item]
