from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import rankdata

from optuna_tnas.errors import FeatureError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import Node
from optuna_tnas.surrogate.known_features import KnownFeatures
from optuna_tnas.surrogate.known_features import relative_scores


OPS = ("skip", "conv", "pool", "wide")
CHAINS = CellSpace([Node("a", OPS), Node("b", OPS, ["a"]), Node("c", OPS, ["b"])])
MOBILE = MobileNetV3Space()
COST = {"skip": 0.0, "conv": 2.0, "pool": 1.0, "wide": 5.0}
X = CHAINS.enumerate()


def cost(params: dict[str, Any]) -> float:
    return sum(COST[op] for op in params.values())


def scores(function: Any) -> np.ndarray:
    return KnownFeatures(CHAINS, function)(X).numpy()


def test_scores_are_normal_scores_of_mean_ranks() -> None:
    """All chains are different networks, so the reference is the whole space."""
    costs = np.array([cost(CHAINS.decode(row)) for row in X])
    expected = ndtri(rankdata(costs) / (len(X) + 1))
    np.testing.assert_allclose(scores(lambda p: {"cost": cost(p)})[:, 0], expected, atol=1e-12)


def test_scores_ignore_unit_and_order_of_names() -> None:
    one = scores(lambda p: {"cost": cost(p), "minus": -cost(p)})
    other = scores(lambda p: {"cost": np.exp(cost(p)) - 1e3, "minus": -(cost(p) ** 3)})
    np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(one[:, 0], -one[:, 1])


def test_missing_infinite_and_constant_values_are_tolerated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def function(params: dict[str, Any]) -> dict[str, float]:
        c = cost(params)
        missing = np.nan if params["op_a"] == "wide" else c
        huge = np.inf if c > 10 else -np.inf if c < 2 else c
        return {"missing": missing, "infinite": huge, "constant": 7.0, "never": np.nan}

    found = scores(function)
    wide = X[:, 0] == OPS.index("wide")
    assert np.isfinite(found).all()
    assert (found[wide, 0] == 0).all() and len(set(found[~wide, 0])) > 3
    assert found.shape == (len(X), 2)  # the others tell nothing apart
    assert "['constant', 'never'] are the same or missing for all of 64" in caplog.text
    costs = np.array([cost(CHAINS.decode(row)) for row in X])
    assert len(set(found[costs > 10, 1])) == 1
    assert found[costs > 10, 1].min() > found[(costs >= 2) & (costs <= 10), 1].max()


def test_each_architecture_is_asked_about_once() -> None:
    asked: list[str] = []
    known = KnownFeatures(CHAINS, lambda p: {"cost": float(len(asked.append(str(p)) or p))})
    known(X[:5])
    known(X)
    assert len(asked) == len(set(asked)) == len(X)


def test_scores_of_a_large_space_go_on_beyond_its_sample() -> None:
    reference = np.linspace(0.0, 8.0, 257)
    values = np.array([-np.inf, -4.0, 0.0, 4.0, 8.0, 10.0, 1e9, np.inf, np.nan])
    found = relative_scores(values, reference)
    end = ndtri(257.5 / 258)
    expected = [-ndtri(257.5 / 258) - 2, 0, 0, 0, 0, end + 0.5, end + 2, end + 2, 0]
    assert found[[0, 5, 6, 7, 8]] == pytest.approx(np.array(expected)[[0, 5, 6, 7, 8]], abs=0.25)
    assert (np.diff(found[:7]) > 0).all() and found[3] == pytest.approx(0)


def test_large_spaces_are_scored_against_few_architectures() -> None:
    asked: list[int] = []

    def depth(params: dict[str, Any]) -> dict[str, float]:
        asked.append(1)
        return {"depth": sum(params[f"depth_{s}"] for s in range(1, 6))}

    known = KnownFeatures(MOBILE, depth)
    rows = MOBILE.sample(50, np.random.default_rng(1))
    found = known(rows).numpy()[:, 0]
    assert len(asked) <= 256 + 50
    depths = [depth(MOBILE.decode(row))["depth"] for row in rows]
    assert (np.argsort(found, kind="stable") == np.argsort(depths, kind="stable")).all()
    assert (KnownFeatures(MOBILE, depth)(rows).numpy()[:, 0] == found).all()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (3.0, r"3\.0 for \{'op_a': .*by name"),
        ({}, r"\{\} for"),
        (None, "None for"),
        ({"cost": "5"}, "'5'"),
        ({"cost": [1, 2]}, r"\[1, 2\]"),
    ],
)
def test_what_is_no_mapping_of_numbers_is_an_error(found: Any, said: str) -> None:
    with pytest.raises(FeatureError, match=said):
        scores(lambda p: found)


def test_errors_and_other_names_say_for_which_architecture() -> None:
    with pytest.raises(FeatureError, match=r"ZeroDivisionError.*'op_a': 'skip'.*NaN"):
        scores(lambda p: {"cost": 1 / cost(p)})
    with pytest.raises(FeatureError, match=r"\['(op|skip)'\] for .*\['(op|skip)'\] for other"):
        scores(lambda p: {"op" if p["op_a"] != "conv" else "skip": 1.0})
    with pytest.raises(FeatureError, match=r"features cannot be \{'cost': 1\}"):
        KnownFeatures(CHAINS, {"cost": 1})  # type: ignore[arg-type]
