"""What constraints say of architectures, and what is said of constraints that fail."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from optuna_tnas.errors import ConstraintError
from optuna_tnas.search import known as module
from optuna_tnas.search.constraints import KnownConstraints
from tests.search.cases import Case


def test_values_are_the_functions_own(conditional: Case) -> None:
    space = conditional.space
    X = space.enumerate()
    functions = {"kernel": lambda p: p["kernel"] - 3.5, "more": lambda p: p["more"]}
    constraints = KnownConstraints(space, functions)
    expected = [[f(space.decode(row)) for f in functions.values()] for row in X]
    assert (constraints.values(X) == np.array(expected)).all()
    assert (constraints.feasible(X) == (np.array(expected) <= 0).all(axis=1)).all()
    assert (constraints.lowest(X) == np.min(expected, axis=0)).all()
    for row, values in zip(X, expected, strict=True):
        named = zip(functions, values, strict=True)
        assert constraints.violated(row) == {name: v for name, v in named if v > 0}


def test_each_architecture_is_asked_about_once_as_a_trial_has_it(conditional: Case) -> None:
    asked: list[dict[str, Any]] = []

    def constraint(params: dict[str, Any]) -> float:
        asked.append(dict(params))
        params.clear()  # its own copy
        return 0.0

    X = conditional.space.enumerate()
    constraints = KnownConstraints(conditional.space, {"a": constraint})
    for part in (X[:3], X, X[::-1], np.concatenate([X, X])):
        assert constraints.feasible(part).all()
    assert asked == [conditional.space.decode(row) for row in X]


def test_without_functions_all_is_feasible(small: Case) -> None:
    X = small.space.enumerate()
    for constraints in (KnownConstraints(small.space), KnownConstraints(small.space, {})):
        assert constraints.feasible(X).all()
        assert constraints.violated(X[0]) == {}
        assert constraints.values(X).shape == (len(X), 0)


def test_infinite_values_are_allowed(small: Case) -> None:
    for value, feasible in ((math.inf, False), (-math.inf, True)):
        constraints = KnownConstraints(small.space, {"a": lambda _, value=value: value})
        assert constraints.feasible(small.space.enumerate()[:2]).tolist() == [feasible] * 2


def fails(_: dict[str, Any]) -> float:
    raise KeyError("no such layer")


@pytest.mark.parametrize(
    "function, told",
    [(fails, "no such layer"), (lambda _: math.nan, "NaN"), (lambda _: None, "NoneType")],
)
def test_a_constraint_that_fails_is_named_with_the_architecture(
    small: Case, function: Any, told: str
) -> None:
    row = small.space.enumerate()[5]
    constraints = KnownConstraints(small.space, {"fine": lambda _: 0.0, "size": function})
    with pytest.raises(ConstraintError, match=r"'size'") as caught:
        constraints.feasible(row[None])
    assert told in str(caught.value)
    assert str(small.space.decode(row)) in str(caught.value)
    if function is fails:
        assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("functions", [lambda _: 0.0, {"size": 5}, [lambda _: 0.0]])
def test_what_is_no_constraint_is_refused(small: Case, functions: Any) -> None:
    with pytest.raises(ConstraintError, match="known_constraints cannot be"):
        KnownConstraints(small.space, functions)


def test_what_takes_long_shows_its_progress(
    small: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    X = small.space.enumerate()
    KnownConstraints(small.space, {"a": lambda _: 0.0}).feasible(X)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    KnownConstraints(small.space, {"a": lambda _: 0.0}).feasible(X)
    assert "known constraints" in capsys.readouterr().err


def test_memory_of_a_large_space_has_a_limit(
    mobilenetv3_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_KEPT", 30)
    asked: list[dict[str, Any]] = []
    constraints = KnownConstraints(
        mobilenetv3_case.space, {"a": lambda p: asked.append(p) or p["depth_1"] - 3}
    )
    X = mobilenetv3_case.space.sample(40, np.random.default_rng(0))
    for part, n_asked in ((X[:20], 20), (X, 40), (X[5:30], 65)):
        assert (constraints.feasible(part) == (part[:, 0] <= 1)).all()
        assert len(asked) == n_asked
