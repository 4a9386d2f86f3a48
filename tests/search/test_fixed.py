"""Choices that are made already."""

from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.fixed import decided
from optuna_tnas.search.fixed import with_fixed
from tests.search.cases import Case
from tests.search.cases import Kind


BOTH = pytest.mark.parametrize("kind", [ExhaustiveSearch, EvolutionarySearch])


@BOTH
def test_fixed_choices_are_kept_even_if_all_were_seen(small: Case, kind: Kind) -> None:
    everything = small.space.enumerate()
    row = small.by(kind).best(everything[everything[:, 0] == 2], {0: 2})
    assert row[0] == 2


@BOTH
def test_what_a_fixed_choice_switches_off_does_not_matter(conditional: Case, kind: Kind) -> None:
    """No second layer, but a kernel for it: what an enqueued trial may well say."""
    asked = conditional.by(kind)
    assert asked.best(fixed={1: 0, 2: 1})[1:].tolist() == [0, 0]
    assert asked.best(fixed={1: 1, 2: 1})[1:].tolist() == [1, 1]


def test_agrees_compares_only_what_matters(conditional: Case) -> None:
    X = conditional.space.enumerate()
    expected = [bool(x[1] == 0 or x[2] == 1) for x in X]
    assert agrees(conditional.space, X, {2: 1}).tolist() == expected
    assert agrees(conditional.space, X, {}).all()


def test_with_fixed_switches_off_what_does_not_count(conditional: Case) -> None:
    X = conditional.space.enumerate()
    before = X.copy()
    assert not with_fixed(conditional.space, X, {1: 0})[:, 1:].any()
    assert (before == X).all()


def test_decided_are_architectures_without_an_open_choice(conditional: Case) -> None:
    space = conditional.space
    for row in space.enumerate():
        active = np.flatnonzero(space.active(row[None])[0])
        fixed = {int(p): int(row[p]) for p in active}
        assert (decided(space, fixed) == row).all()
        for left_out in fixed:
            rest = {p: choice for p, choice in fixed.items() if p != left_out}
            assert decided(space, rest) is None
