"""A wrapped space is the other one in all that is not overridden."""

from __future__ import annotations

import numpy as np
from optuna.trial import FixedTrial
import pytest

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.spaces.wrapped import WrappedSpace


SPACES = [
    CellSpace([Node("a", ["x", "y", "z"]), Node("b", ["x", "y"], ["a"])]),
    NASBench201Space(),
    MobileNetV3Space(),
]


@pytest.mark.parametrize("whole", SPACES)
def test_it_is_described_as_the_whole_space(whole: Space) -> None:
    space = WrappedSpace(whole)
    names = [
        "parameters",
        "zero",
        "size",
        "vocabulary",
        "fingerprint",
        "named_fingerprint",
        "enumerable",
    ]
    assert [getattr(space, n) for n in names] == [getattr(whole, n) for n in names]
    assert space.distributions() == whole.distributions()
    assert space.declaration() == whole.declaration()
    assert [*space.earlier] == [*whole.earlier]
    assert space.difference(whole) is None


@pytest.mark.parametrize("whole", SPACES)
def test_architectures_are_read_as_by_the_whole_space(whole: Space) -> None:
    space = WrappedSpace(whole)
    X = space.sample(10, np.random.default_rng(0))
    np.testing.assert_array_equal(X, whole.sample(10, np.random.default_rng(0)))
    np.testing.assert_array_equal(space.active(X), whole.active(X))
    for row in X:
        params = space.decode(row)
        assert params == whole.decode(row) == space.suggest(FixedTrial(params))
        np.testing.assert_array_equal(space.encode(params), whole.encode(params))
        found, expected = space.to_graph(params), whole.to_graph(params)
        assert (found.nodes(data=True), set(found.edges)) == (
            expected.nodes(data=True),
            set(expected.edges),
        )


def test_a_listed_space_is_listed_and_numbered_alike() -> None:
    space = WrappedSpace(SPACES[0])
    np.testing.assert_array_equal(space.enumerate(), SPACES[0].enumerate())
    np.testing.assert_array_equal(space.indices(space.enumerate()), np.arange(space.size))
