"""A user's function is asked once for each architecture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import evaluation
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.spaces.evaluation import Evaluated


SPACE = CellSpace([Node("a", ["x", "y", "z"]), Node("b", ["x", "y"], ["a"])])
X = SPACE.enumerate()


class Asked:
    """Returns the parameters, and remembers them."""

    def __init__(self) -> None:
        self.params: list[dict[str, Any]] = []

    def __call__(self, params: dict[str, Any]) -> dict[str, Any]:
        self.params.append(params)
        return params


def test_values_come_in_the_order_of_the_rows_and_each_is_asked_once() -> None:
    asked = Asked()
    evaluated = Evaluated(SPACE, asked, "test")
    for rows in (X[:4], X[::-1], X[[2, 2, 0]]):
        assert evaluated(rows) == [SPACE.decode(row) for row in rows]
    assert len(asked.params) == len(X)


def test_rows_may_have_hyperparameters_behind() -> None:
    asked = Asked()
    beside = np.column_stack([X, np.linspace(0, 1, len(X))])
    assert Evaluated(SPACE, asked, "test")(beside) == [SPACE.decode(row) for row in X]


@pytest.mark.parametrize(("space", "again"), [(SPACE, False), (MobileNetV3Space(), True)])
def test_what_is_kept_of_spaces_that_cannot_be_listed_is_bounded(
    space: Space, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "MAX_KEPT", 2)
    rows = np.unique(space.sample(50, np.random.default_rng(0)), axis=0)
    asked = Asked()
    evaluated = Evaluated(space, asked, "test")
    for _ in range(2):
        evaluated(rows)
    assert len(asked.params) == len(rows) * (2 if again else 1)


def test_inactive_parameters_are_not_told() -> None:
    space, asked = MobileNetV3Space(), Asked()
    rows = space.sample(20, np.random.default_rng(0))
    Evaluated(space, asked, "test")(rows)
    assert min(len(params) for params in asked.params) < len(space.parameters)
    assert asked.params == [space.decode(row) for row in rows]
