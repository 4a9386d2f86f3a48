"""Architectures that meet constraints, however few there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optuna_tnas.errors import ConstraintError
from optuna_tnas.search import feasible
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import count_parameters
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import Space
from tests.search.cases import Case


MOBILE = MobileNetV3Space()
Functions = dict[str, Callable[[dict[str, Any]], float]]


def drawn(
    space: Space,
    functions: Functions,
    seed: int = 0,
    avoided: np.ndarray | None = None,
    fixed: Fixed | None = None,
) -> np.ndarray:
    """What is drawn, after a check that it is feasible and agrees with what is fixed."""
    nothing = np.empty((0, len(space.parameters)), dtype=np.int64)
    known = nothing if avoided is None else avoided
    constraints, rng = KnownConstraints(space, functions), np.random.default_rng(seed)
    X = feasible.draw(space, constraints, 32, known, known, fixed or {}, rng)
    assert len(X)
    assert all(f(space.decode(row)) <= 0 for row in X for f in functions.values())
    assert agrees(space, X, fixed or {}).all()
    assert (space.canonical(X) == X).all()
    return X


def macs(params: dict[str, Any]) -> float:
    return float(count_macs(MOBILE, params))


def test_without_constraints_they_are_random_ones(small: Case) -> None:
    space = small.space
    assert (drawn(space, {}) == space.sample(32, np.random.default_rng(0))).all()


def test_in_a_listed_space_they_are_all_that_there_are(small: Case) -> None:
    space = small.space
    position = {"a": lambda p: float((7 * space.encode(p).sum()) % 5) - 1.5}
    X = drawn(space, position)
    expected = [row for row in space.enumerate() if position["a"](space.decode(row)) <= 0]
    assert (np.unique(X, axis=0) == np.array(expected)).all()
    assert len(X) == len(expected)
    assert (drawn(space, position, seed=1) != X).any()


def test_loose_limits_of_a_large_space_keep_its_distribution() -> None:
    X = drawn(MOBILE, {"depth": lambda p: p["depth_1"] - 3.0})
    assert len(X) >= 32
    assert 0.3 < (X[:, 0] == 1).mean() < 0.7
    assert len(np.unique(X, axis=0)) == len(X)


@pytest.mark.parametrize(
    "functions",
    [
        {"least": lambda p: macs(p) - 122e6},  # the smallest network has 121.3e6
        {"large": lambda p: 520e6 - macs(p)},
        {"infinite": lambda p: macs(p) - 140e6 if macs(p) < 250e6 else np.inf},
        {
            "deep": lambda p: 18 - sum(p[f"depth_{s}"] for s in range(1, 6)),
            "small": lambda p: 1e-6 * macs(p) - 260,
            "params": lambda p: count_parameters(MOBILE, p) - 5e6,
        },
    ],
    ids=lambda functions: "+".join(functions),
)
def test_limits_that_hardly_a_random_architecture_meets_are_met(functions: Functions) -> None:
    drawn(MOBILE, functions)


def test_such_limits_can_be_met_again_and_again() -> None:
    seen = np.empty((0, 45), dtype=np.int64)
    for seed in range(3):
        X = drawn(MOBILE, {"least": lambda p: macs(p) - 122e6}, seed, avoided=seen)
        new = X[~(X[:, None] == seen[None]).all(axis=2).any(axis=1)]
        seen = np.concatenate([seen, new[:1]])
    assert len(np.unique(seen, axis=0)) == 3


def test_fixed_choices_are_kept() -> None:
    fixed = {9 * stage: 2 for stage in range(5)}  # all stages have four layers
    drawn(MOBILE, {"small": lambda p: macs(p) - 240e6}, fixed=fixed)


def test_if_all_were_tried_they_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feasible, "_MAX_ROUNDS", 3)
    lowest = np.zeros((1, 45), dtype=np.int64)
    X = drawn(MOBILE, {"least": lambda p: macs(p) - 121.28e6}, avoided=lowest)
    assert (lowest == X).all()


def test_if_a_listed_space_has_none_the_error_says_so(small: Case) -> None:
    X = small.space.enumerate()
    with pytest.raises(ConstraintError, match=f"None of {len(X)} architectures meets") as caught:
        drawn(small.space, {"size": lambda _: 2.0, "time": lambda _: -1.0})
    assert "size 2, time -1" in str(caught.value)
    with pytest.raises(ConstraintError, match=f"None of {(X[:, 0] == 2).sum()} ") as caught:
        drawn(small.space, {"size": lambda p: p["op_0_1"] == "conv"}, fixed={0: 2})
    assert "{'op_0_1': 'conv'}" in str(caught.value)


def test_if_none_is_found_the_error_says_how_many_were_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feasible, "_MAX_ROUNDS", 5)
    asked = []

    def impossible(params: dict[str, Any]) -> float:
        asked.append(params)
        return macs(params)

    with pytest.raises(ConstraintError, match="tried, random ones") as caught:
        drawn(MOBILE, {"macs": impossible})
    assert f"None of {len(asked)} architectures" in str(caught.value)
    assert f"macs {min(map(macs, asked)):g}" in str(caught.value)
