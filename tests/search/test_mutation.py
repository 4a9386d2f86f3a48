"""Small changes of architectures."""

from __future__ import annotations

import numpy as np

from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.mutation import offspring
from tests.search.cases import Case


def test_neighbors_of_the_best_and_changes_of_others(mobilenetv3_case: Case) -> None:
    space = mobilenetv3_case.space
    X = offspring(space, mobilenetv3_case.X, {}, np.random.default_rng(0))
    found = {row.tobytes() for row in X}
    assert all(row.tobytes() in found for row in space.neighbors(mobilenetv3_case.X[0]))
    assert len(found) == len(X) > len(space.neighbors(mobilenetv3_case.X[0]))
    assert (space.canonical(X) == X).all()


def test_fixed_choices_are_kept(mobilenetv3_case: Case) -> None:
    fixed = {0: 2, 1: 0, 10: 1}
    X = offspring(mobilenetv3_case.space, mobilenetv3_case.X, fixed, np.random.default_rng(0))
    assert agrees(mobilenetv3_case.space, X, fixed).all()
