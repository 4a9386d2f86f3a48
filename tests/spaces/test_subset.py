from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces import SubsetSpace


@pytest.mark.parametrize("space", [NASBench201Space(), MobileNetV3Space()])
def test_a_subset_is_the_same_space_with_fewer_architectures(space: Space) -> None:
    X = space.sample(20, np.random.default_rng(0))
    subset = SubsetSpace.of(space, X[[*range(20), 3, 3]])
    assert space.difference(subset) is None
    assert subset.enumerable
    rows = {tuple(row) for row in X}
    assert {tuple(row) for row in subset.enumerate()} == rows
    assert len(subset.enumerate()) == len(rows)
    drawn = subset.sample(500, np.random.default_rng(0))
    assert {tuple(row) for row in drawn} == rows


def test_indices_are_places_in_lexicographic_order() -> None:
    space = NASBench201Space()
    subset = SubsetSpace.of(space, space.sample(20, np.random.default_rng(0)))
    rows = subset.enumerate()
    assert subset.indices(rows).tolist() == list(range(len(rows)))
    whole = space.indices(rows)
    assert (np.diff(whole) > 0).all()
    assert len(np.unique(space.indices(space.enumerate()))) == space.size
