"""Both ways to look for the best candidate, against all there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.candidates import agrees
from optuna_tnas.search.candidates import Candidates
from optuna_tnas.search.candidates import candidates_of
from optuna_tnas.search.candidates import Fixed
from optuna_tnas.search.candidates import SearchedSpace
from optuna_tnas.search.candidates import WholeSpace
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


class Case:
    """A surrogate, a GP on some of its architectures, and questions to candidates."""

    def __init__(self, surrogate: MetaSurrogate, X: np.ndarray, gp: Any) -> None:
        self.surrogate = surrogate
        self.space = surrogate.space
        self.X = X
        self.candidates = candidates_of(surrogate, None)
        self.acquisition = Acquisition("qei", gp, surrogate.inputs(X[:0], None), seed=0)

    def best(
        self,
        candidates: Candidates,
        avoided: np.ndarray | None = None,
        fixed: Fixed | None = None,
        seed: int = 0,
    ) -> np.ndarray:
        nothing = self.X[:0] if avoided is None else avoided
        rng = np.random.default_rng(seed)
        return candidates.best(self.acquisition, self.X[:16], nothing, fixed or {}, rng)

    def values(self, X: np.ndarray) -> torch.Tensor:
        """As :class:`WholeSpace` sees them: of equal networks, the first is asked."""
        return self.acquisition.values(self.candidates.inputs(X))


@pytest.fixture(scope="module")
def case_of(
    surrogate_of: Callable[[str], MetaSurrogate], study_gp: Callable[..., Any]
) -> Callable[[str, int], Case]:
    def make(name: str, n: int) -> Case:
        surrogate = surrogate_of(name)
        X = np.unique(surrogate.space.sample(n, np.random.default_rng(0)), axis=0)
        return Case(surrogate, X, study_gp(surrogate, X))

    return make


@pytest.fixture(scope="module")
def small(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("small", 10)


@pytest.fixture(scope="module")
def conditional(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("conditional", 3)


@pytest.fixture(scope="module")
def nasbench201(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("nasbench201", 30)


@pytest.fixture(scope="module")
def mobilenetv3(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("mobilenetv3", 10)


def test_small_spaces_are_scored_whole_and_large_ones_searched(
    small: Case, mobilenetv3: Case
) -> None:
    assert isinstance(candidates_of(small.surrogate, None), WholeSpace)
    assert isinstance(candidates_of(mobilenetv3.surrogate, None), SearchedSpace)


def test_whole_space_looks_inputs_up(small: Case, conditional: Case) -> None:
    for case in (small, conditional):
        everything = case.space.enumerate()
        _, first, group = np.unique(
            case.surrogate.groups(everything), return_index=True, return_inverse=True
        )
        looked_up = WholeSpace(case.surrogate, None).inputs(everything)
        expected = case.surrogate.inputs(everything[first[group]], None)
        torch.testing.assert_close(looked_up, expected)
        X = everything[:0]
        assert len(WholeSpace(case.surrogate, None).inputs(X[:0])) == 0


def test_whole_space_finds_the_best_of_all(small: Case, conditional: Case) -> None:
    for case in (small, conditional):
        everything = case.space.enumerate()
        best = case.values(case.best(WholeSpace(case.surrogate, None))[None])
        assert best.item() == pytest.approx(case.values(everything).max().item(), abs=1e-5)


@pytest.mark.parametrize("name", ["small", "conditional"])
def test_whole_space_repeats_nothing_until_exhausted(
    name: str, case_of: Callable[[str, int], Case]
) -> None:
    case = case_of(name, 3)
    candidates = WholeSpace(case.surrogate, None)
    everything = case.space.enumerate()
    network = case.space.to_graphs(everything).pruned().classes()[1]
    tried = np.zeros(len(everything), dtype=bool)
    for n in range(len(everything)):
        left = ~np.isin(network, network[tried])
        assert left.any() == (n < len(np.unique(network)))  # no network twice while there are new
        row = case.best(candidates, everything[tried])
        best = case.values(everything[left if left.any() else ~tried]).max().item()
        assert case.values(row[None]).item() == pytest.approx(best, abs=1e-5)
        tried |= (everything == row).all(axis=1)
        assert tried.sum() == n + 1
    seen = everything[tried]
    again = case.best(candidates, seen)
    assert (again == case.best(candidates)).all()


def test_whole_space_has_the_fixed_choices(small: Case) -> None:
    everything = small.space.enumerate()
    for fixed in ({0: 2}, {1: 0, 2: 3}, {0: 1, 1: 1, 2: 1}):
        open_ = everything[[all(x[p] == c for p, c in fixed.items()) for x in everything]]
        row = small.best(WholeSpace(small.surrogate, None), fixed=fixed)
        assert all(row[p] == c for p, c in fixed.items())
        best = small.values(open_).max().item()
        assert small.values(row[None]).item() == pytest.approx(best, abs=1e-5)


def test_fixed_choices_are_kept_even_if_all_were_seen(small: Case) -> None:
    everything = small.space.enumerate()
    for candidates in (WholeSpace(small.surrogate, None), SearchedSpace(small.surrogate, None)):
        row = small.best(candidates, everything[everything[:, 0] == 2], {0: 2})
        assert row[0] == 2


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_fixed_choice_switches_off_does_not_matter(conditional: Case, whole: bool) -> None:
    """No second layer, but a kernel for it: what an enqueued trial may well say."""
    candidates = (WholeSpace if whole else SearchedSpace)(conditional.surrogate, None)
    row = conditional.best(candidates, fixed={1: 0, 2: 1})
    assert row[1:].tolist() == [0, 0]
    row = conditional.best(candidates, fixed={1: 1, 2: 1})
    assert row[1:].tolist() == [1, 1]


def test_agrees_compares_only_what_matters(conditional: Case) -> None:
    X = conditional.space.enumerate()
    expected = [bool(x[1] == 0 or x[2] == 1) for x in X]
    assert agrees(conditional.space, X, {2: 1}).tolist() == expected
    assert agrees(conditional.space, X, {}).all()


def test_search_finds_one_of_the_best_in_a_thousand(nasbench201: Case) -> None:
    values = nasbench201.values(nasbench201.space.enumerate())
    for seed in range(3):
        row = nasbench201.best(SearchedSpace(nasbench201.surrogate, None), seed=seed)
        better = (values > nasbench201.values(row[None]) + 1e-9).sum()
        assert better < len(values) / 1000


def test_search_of_a_small_space_finds_the_best(small: Case) -> None:
    row = small.best(SearchedSpace(small.surrogate, None))
    best = small.values(small.space.enumerate()).max().item()
    assert small.values(row[None]).item() == pytest.approx(best, abs=1e-5)


def test_search_beats_as_many_random_architectures(mobilenetv3: Case) -> None:
    row = mobilenetv3.best(SearchedSpace(mobilenetv3.surrogate, None))
    luck = mobilenetv3.space.sample(3000, np.random.default_rng(1))
    assert mobilenetv3.values(row[None]) > mobilenetv3.values(luck).max()


def test_search_repeats_nothing(mobilenetv3: Case) -> None:
    candidates = SearchedSpace(mobilenetv3.surrogate, None)
    first = mobilenetv3.best(candidates)
    second = mobilenetv3.best(candidates, first[None])
    assert (first != second).any()
    assert mobilenetv3.values(second[None]) <= mobilenetv3.values(first[None]) + 1e-6


def test_search_repeats_nothing_until_a_part_is_exhausted(mobilenetv3: Case) -> None:
    """All but two parameters fixed: nine networks, each found before any comes twice."""
    candidates = SearchedSpace(mobilenetv3.surrogate, None)
    fixed = {p: 0 for p in range(45) if p not in (1, 2)}
    seen = mobilenetv3.X[:0]
    for _ in range(9):
        seen = np.concatenate([seen, mobilenetv3.best(candidates, seen, fixed)[None]])
    assert len(np.unique(seen, axis=0)) == 9


def test_search_has_the_fixed_choices_and_no_inactive_ones(mobilenetv3: Case) -> None:
    fixed = {0: 2, 3: 1, 9: 0, 14: 2}  # depth_1 = 4, ..., depth_2 = 2, of which 14 is switched off
    row = mobilenetv3.best(SearchedSpace(mobilenetv3.surrogate, None), fixed=fixed)
    assert [row[0], row[3], row[9]] == [2, 1, 0]
    assert (mobilenetv3.space.canonical(row[None])[0] == row).all()
    assert agrees(mobilenetv3.space, row[None], fixed).all()


def test_search_is_a_matter_of_its_generator_alone(mobilenetv3: Case) -> None:
    candidates = SearchedSpace(mobilenetv3.surrogate, None)
    rows = []
    for global_seed in (0, 1):
        np.random.seed(global_seed)
        torch.manual_seed(global_seed)
        rows.append(mobilenetv3.best(candidates, seed=5))
    assert (rows[0] == rows[1]).all()
