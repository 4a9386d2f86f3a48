"""Sizes as features: those that are counted for the same network."""

from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.features import Counts
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import count_parameters
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces.cell import Node


SPACE = NASBench201Space()


@pytest.mark.parametrize("network", [{}, {"resolution": 64}])
def test_features_are_the_counts_of_the_network_that_is_described(network: dict[str, int]) -> None:
    counts = Counts(SPACE, **network)
    for row in SPACE.sample(5, np.random.default_rng(0)):
        params = SPACE.decode(row)
        assert counts(params) == {
            "parameters": count_parameters(SPACE, params, **network),
            "macs": count_macs(SPACE, params, **network),
        }


def test_features_are_floats() -> None:
    params = SPACE.decode(SPACE.enumerate()[-1])
    assert all(type(value) is float for value in Counts(SPACE)(params).values())


def test_a_space_whose_networks_are_not_known_is_refused() -> None:
    space = CellSpace([Node("a", ["x", "y"])])
    with pytest.raises(SpaceError):
        Counts(space)(space.decode(space.enumerate()[0]))
