from __future__ import annotations

import numpy as np

from optuna_tnas.studies.observations import Metric
from optuna_tnas.studies.observations import Observations


X = np.arange(4)[:, None]


def test_without_constraints_merit_is_the_value() -> None:
    y = np.array([3.0, -np.inf, 1.0, 2.0])
    data = Observations(X, y, X[:0], X)
    assert data.feasible.all()
    np.testing.assert_array_equal(data.merit, y)


def test_infeasible_trials_rank_by_how_much_they_violate() -> None:
    limits = {"a": np.array([0.0, 2.0, 1.0, np.nan]), "b": np.array([-9.0, 0.0, 0.5, -1.0])}
    data = Observations(X, np.array([1.0, 9.0, 8.0, 2.0]), X[:0], X, limits)
    assert data.feasible.tolist() == [True, False, False, True]  # what is missing is not violated
    assert np.argsort(-data.merit).tolist() == [3, 0, 2, 1]


def test_an_endless_violation_is_the_worst() -> None:
    data = Observations(X, np.zeros(4), X[:0], X, {"a": np.array([np.inf, 1.0, 0.0, 2.0])})
    assert np.argsort(-data.merit).tolist() == [2, 1, 3, 0]


def test_objectives_have_names_or_none() -> None:
    y = np.zeros(4)
    assert Observations(X, y, X[:0], X).names == [None]
    assert Observations(X, y, X[:0], X, objective="accuracy").names == ["accuracy"]
    two = [Metric("accuracy", 1.0), Metric(None, -1.0)]
    assert Observations(X, y, X[:0], X, metrics=two).names == ["accuracy", None]


def test_merit_puts_feasible_trials_first_then_the_front() -> None:
    y = np.array([[1.0, 1], [2, 2], [0, 3], [9, 9]])
    X = np.arange(4)[:, None]
    limit = {"c": np.array([0.0, -1, 0, 5])}
    metrics = [Metric(None, 1.0), Metric(None, -1.0)]
    merit = Observations(X, y, X[:0], X, limit, metrics).merit
    assert np.argsort(-merit)[:2].tolist() in ([1, 2], [2, 1])
    assert np.argsort(-merit)[2:].tolist() == [0, 3]
