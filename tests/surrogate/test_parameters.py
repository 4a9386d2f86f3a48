"""Columns of parameters, against differences computed value by value."""

from __future__ import annotations

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
import torch

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.surrogate.parameters import differences
from optuna_tnas.surrogate.parameters import ordered
from optuna_tnas.surrogate.parameters import ParameterColumns


CELLS = CellSpace([Node("a", ["conv", "pool"]), Node("b", ["none", "conv", "pool"], ["a"])])
BESIDE = Hyperparameters(
    {"rate": FloatDistribution(0, 2), "optimizer": CategoricalDistribution(["a", "b", "c"])}
)
JOINT = JointSpace(CELLS, BESIDE)


def test_differences_are_those_of_numbers_and_choices() -> None:
    rows = JOINT.sample(12, np.random.default_rng(0))
    columns = ParameterColumns(JOINT)
    found = differences(columns(rows), columns.owners)
    P = len(CELLS.parameters)
    assert found.shape == (P + 2, 12, 12)
    for d in range(P + 2):
        x = rows[:, d]
        numbers = d == P
        expected = (x[:, None] - x) ** 2 if numbers else (x[:, None] != x).astype(float)
        np.testing.assert_allclose(found[d].numpy(), expected, atol=1e-12)


def test_missing_values_are_the_middle_or_none_of_the_choices() -> None:
    rows = JOINT.sample(3, np.random.default_rng(0))
    rows[:, -2:] = [[0.0, 0], [1.0, 1], [np.nan, np.nan]]
    columns = ParameterColumns(JOINT)
    found = differences(columns(rows), columns.owners)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[-2, 2, :2], torch.full((2,), 0.25).double())
    torch.testing.assert_close(found[-1, 2, :2], torch.full((2,), 0.5).double())


def test_ascending_numbers_have_an_order() -> None:
    assert ordered(Parameter("kernel", (3, 5, 7)))
    assert not ordered(Parameter("op", ("conv", "pool")))
    assert not ordered(Parameter("mixed", (7, 3)))
    space = CellSpace([Node("a", [3, 5, 7])])
    columns = ParameterColumns(JointSpace(space, BESIDE))
    assert columns.owners == (0, 1, 2, 2, 2)
    assert columns(np.array([[2, 0.5, 0.0]]))[0, 0] == 1.0
