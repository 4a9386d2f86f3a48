"""The search of spaces too large to list, against all there is where that is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.fixed import agrees
from tests.search.cases import Case


def test_finds_one_of_the_best_in_a_thousand(nasbench201_case: Case) -> None:
    values = nasbench201_case.values(nasbench201_case.space.enumerate())
    for seed in range(3):
        row = nasbench201_case.by(EvolutionarySearch).best(seed=seed)
        better = (values > nasbench201_case.values(row[None]) + 1e-9).sum()
        assert better < len(values) / 1000


def test_finds_the_best_of_a_small_space(small: Case) -> None:
    row = small.by(EvolutionarySearch).best()
    best = small.values(small.space.enumerate()).max().item()
    assert small.values(row[None]).item() == pytest.approx(best, abs=1e-5)


def test_beats_as_many_random_architectures(mobilenetv3_case: Case) -> None:
    row = mobilenetv3_case.by(EvolutionarySearch).best()
    luck = mobilenetv3_case.space.sample(3000, np.random.default_rng(1))
    assert mobilenetv3_case.values(row[None]) > mobilenetv3_case.values(luck).max()


def test_repeats_nothing(mobilenetv3_case: Case) -> None:
    asked = mobilenetv3_case.by(EvolutionarySearch)
    first = asked.best()
    second = asked.best(first[None])
    assert (first != second).any()
    assert asked.values(second[None]) <= asked.values(first[None]) + 1e-6


def test_repeats_nothing_until_a_part_is_exhausted(mobilenetv3_case: Case) -> None:
    """All but two parameters fixed: nine networks, each found before any comes twice."""
    asked = mobilenetv3_case.by(EvolutionarySearch)
    fixed = {p: 0 for p in range(45) if p not in (1, 2)}
    seen = mobilenetv3_case.X[:0]
    for _ in range(9):
        seen = np.concatenate([seen, asked.best(seen, fixed)[None]])
    assert len(np.unique(seen, axis=0)) == 9


def test_has_the_fixed_choices_and_no_inactive_ones(mobilenetv3_case: Case) -> None:
    fixed = {0: 2, 3: 1, 9: 0, 14: 2}  # depth_1 = 4, ..., depth_2 = 2, of which 14 is switched off
    row = mobilenetv3_case.by(EvolutionarySearch).best(fixed=fixed)
    assert [row[0], row[3], row[9]] == [2, 1, 0]
    assert (mobilenetv3_case.space.canonical(row[None])[0] == row).all()
    assert agrees(mobilenetv3_case.space, row[None], fixed).all()


def test_is_a_matter_of_its_generator_alone(mobilenetv3_case: Case) -> None:
    asked = mobilenetv3_case.by(EvolutionarySearch)
    rows = []
    for global_seed in (0, 1):
        np.random.seed(global_seed)
        torch.manual_seed(global_seed)
        rows.append(asked.best(seed=5))
    assert (rows[0] == rows[1]).all()
