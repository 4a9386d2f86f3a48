"""Joint spaces against the space and the hyper-parameters that they join."""

from __future__ import annotations

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import JointSpace


SPACE = MobileNetV3Space()
BESIDE = Hyperparameters(
    {
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "batch": IntDistribution(16, 64, step=16),
        "optimizer": CategoricalDistribution(["sgd", "adam"]),
    }
)
JOINT = JointSpace(SPACE, BESIDE)
P = len(SPACE.parameters)


def rows(n: int, seed: int = 0) -> np.ndarray:
    return JOINT.sample(n, np.random.default_rng(seed))


def test_rows_join_both() -> None:
    drawn = rows(50)
    X, H = JOINT.split(drawn)
    assert X.dtype == np.int64 and X.shape == (50, P) and H.shape == (50, 3)
    np.testing.assert_array_equal(SPACE.canonical(X), X)
    np.testing.assert_array_equal(JOINT.canonical(drawn), drawn)
    assert JOINT.sample(0, np.random.default_rng(0)).shape == (0, P + 3)


def test_params_and_rows_are_the_same() -> None:
    for row in rows(20):
        params = JOINT.decode(row)
        assert params.keys() >= {"rate", "batch", "optimizer"}
        np.testing.assert_allclose(JOINT.encode(params), row, atol=1e-12)
        assert JOINT.decode(row, inactive=True).keys() >= SPACE.distributions().keys()


def test_an_architecture_is_needed_and_the_rest_may_be_missing() -> None:
    params = SPACE.decode(SPACE.sample(1, np.random.default_rng(0))[0])
    row = JOINT.encode({**params, "batch": 32})
    assert np.isnan(row[P:]).tolist() == [True, False, True]
    with pytest.raises(SpaceError):
        JOINT.encode({"batch": 32})


def test_positions_name_columns() -> None:
    found = JOINT.positions({"rate": 1e-4, "optimizer": "adam", "depth_1": 3, "other": 1})
    depth = [p.name for p in SPACE.parameters].index("depth_1")
    assert found == {depth: 1.0, P: pytest.approx(0.0), P + 2: 1.0}


def test_neighbors_change_one_part() -> None:
    row = rows(1)[0]
    neighbors = JOINT.neighbors(row)
    X, H = JOINT.split(neighbors)
    same_network = (row[:P] == X).all(axis=1)
    same_training = np.isclose(H, row[P:]).all(axis=1)
    assert not (~same_network & ~same_training).any()
    assert len(X[same_training]) >= len(SPACE.neighbors(X[same_network][0])) > 0
    assert len(JOINT.neighbors(row, 10, np.random.default_rng(0))) < len(neighbors)


def test_fingerprints_depend_on_both() -> None:
    other = JointSpace(SPACE, Hyperparameters({"rate": FloatDistribution(1e-4, 1.0, log=True)}))
    assert len({JOINT.named_fingerprint, other.named_fingerprint, SPACE.named_fingerprint}) == 3
