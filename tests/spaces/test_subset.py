from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.spaces import Measured
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space


@pytest.mark.parametrize("space", [NASBench201Space(), MobileNetV3Space()])
def test_a_measured_space_is_the_same_space_with_fewer_architectures(space: Space) -> None:
    X = space.sample(20, np.random.default_rng(0))
    measured = Measured.of(space, X[[*range(20), 3, 3]])
    assert space.difference(measured) is None
    assert measured.enumerable
    rows = {tuple(row) for row in X}
    assert {tuple(row) for row in measured.enumerate()} == rows
    assert len(measured.enumerate()) == len(rows)
    drawn = measured.sample(500, np.random.default_rng(0))
    assert {tuple(row) for row in drawn} == rows


def test_codes_are_places_in_lexicographic_order() -> None:
    space = NASBench201Space()
    measured = Measured.of(space, space.sample(20, np.random.default_rng(0)))
    rows = measured.enumerate()
    assert measured.codes(rows).tolist() == list(range(len(rows)))
    whole = space.codes(rows)
    assert (np.diff(whole) > 0).all()
    assert len(np.unique(space.codes(space.enumerate()))) == space.size
