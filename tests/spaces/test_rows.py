"""Sets of rows, against Python's own sets and lists."""

from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.spaces import rows


@pytest.fixture(params=[0, 1, 30], name="X")
def _rows(request: pytest.FixtureRequest) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, size=(request.param, 3))


OTHERS = np.random.default_rng(1).integers(0, 3, size=(8, 3))


@pytest.mark.parametrize("others", [OTHERS, OTHERS[:0], np.asfortranarray(OTHERS)])
def test_contained_and_without_are_those_of_sets(X: np.ndarray, others: np.ndarray) -> None:
    known = {tuple(row) for row in others.tolist()}
    expected = [tuple(row) in known for row in X.tolist()]
    assert rows.contained(X, others).dtype == bool
    assert rows.contained(X, others).tolist() == expected
    left = [row for row, there in zip(X.tolist(), expected, strict=True) if not there]
    assert rows.without(X, others).tolist() == left
    assert rows.without(X, others).shape == (len(left), 3)


def test_positions_find_the_rows(X: np.ndarray) -> None:
    table = np.unique(X, axis=0)[::-1]
    found = rows.positions(X, table)
    assert found.dtype == np.int64
    assert np.array_equal(table[found], X)


def test_positions_of_an_unknown_row() -> None:
    with pytest.raises(KeyError):
        rows.positions(np.array([[9, 9, 9]]), OTHERS)


def test_rows_of_another_integer_type_are_the_same() -> None:
    assert rows.contained(OTHERS.astype(np.int32), OTHERS).all()


def test_best_are_the_highest_and_the_first_of_equals() -> None:
    X = np.arange(5)[:, None]
    y = np.array([1.0, np.inf, 1.0, -np.inf, 2.0])
    assert rows.best(X, y, 4)[:, 0].tolist() == [1, 4, 0, 2]
    assert len(rows.best(X, y, 9)) == 5
