"""The search of a listed space, against all there is; and its table of candidates."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from optuna_tnas.search import exhaustive
from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.exhaustive import KeptCorrelations
from optuna_tnas.search.exhaustive import TableInputs
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.kernels import FeatureInputs
from tests.search.cases import Case


def test_inputs_are_looked_up(small: Case, conditional: Case) -> None:
    for case in (small, conditional):
        everything = case.space.enumerate()
        network = case.space.to_graphs(everything).pruned().classes()[1]
        _, first, group = np.unique(network, return_index=True, return_inverse=True)
        search = ExhaustiveSearch(case.space, case.surrogate.study_model(None))
        looked_up = search._inputs.features(search.inputs(everything))
        expected = case.surrogate.study_model(None).features(everything[first[group]])
        torch.testing.assert_close(looked_up, expected)
        assert len(search.inputs(everything[:0])) == 0


def test_finds_the_best_of_all(small: Case, conditional: Case) -> None:
    for case in (small, conditional):
        everything = case.space.enumerate()
        best = case.values(case.by(ExhaustiveSearch).best()[None])
        assert best.item() == pytest.approx(case.values(everything).max().item(), abs=1e-5)


@pytest.mark.parametrize("name", ["small", "conditional"])
def test_repeats_nothing_until_exhausted(name: str, case_of: Callable[[str, int], Case]) -> None:
    case = case_of(name, 3)
    asked = case.by(ExhaustiveSearch)
    everything = case.space.enumerate()
    network = case.space.to_graphs(everything).pruned().classes()[1]
    tried = np.zeros(len(everything), dtype=bool)
    for n in range(len(everything)):
        left = ~np.isin(network, network[tried])
        assert left.any() == (n < len(np.unique(network)))  # no network twice while there are new
        row = asked.best(everything[tried])
        best = case.values(everything[left if left.any() else ~tried]).max().item()
        assert case.values(row[None]).item() == pytest.approx(best, abs=1e-5)
        tried |= (everything == row).all(axis=1)
        assert tried.sum() == n + 1
    assert (asked.best(everything[tried]) == asked.best()).all()


def test_has_the_fixed_choices(small: Case) -> None:
    everything = small.space.enumerate()
    for fixed in ({0: 2}, {1: 0, 2: 3}, {0: 1, 1: 1, 2: 1}):
        open_ = everything[[all(x[p] == c for p, c in fixed.items()) for x in everything]]
        row = small.by(ExhaustiveSearch).best(fixed=fixed)
        assert all(row[p] == c for p, c in fixed.items())
        best = small.values(open_).max().item()
        assert small.values(row[None]).item() == pytest.approx(best, abs=1e-5)


# --- the table ------------------------------------------------------------------------------


BLOCKS = Blocks.of_widths(3, 5, 2)
TRIALS = [4, 9, 0, 31, 9, 22, 17, 5]  # one architecture twice


def random_table(n: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((n, 10)))


def x_of(positions: list[int]) -> torch.Tensor:
    return torch.tensor(positions).double().unsqueeze(-1)


HISTORIES = {
    "new": [],
    "grown": [TRIALS[:n] for n in range(1, len(TRIALS))],
    "shrunk": [[*TRIALS, 3, 8]],
    "a part": [[7, *TRIALS, 2]],
    "reordered": [TRIALS[::-1], sorted(TRIALS)],
    "others": [[1, 2, 3], [39, 38]],
    "repeated": [[4, 4, 4], [9, 9]],
    "nothing": [[]],
    "many": [[(7 * i) % 40 for i in range(60)], TRIALS[:3]],
}


@pytest.mark.parametrize("history", HISTORIES)
def test_table_inputs_are_feature_inputs(history: str) -> None:
    table = random_table()
    looked_up, direct = TableInputs(table, BLOCKS), FeatureInputs(BLOCKS)
    for before in HISTORIES[history]:
        looked_up.correlations(x_of(before), looked_up.positions)
    x = x_of(TRIALS)
    rows = table[TRIALS]
    torch.testing.assert_close(looked_up.features(x), direct.features(rows))
    torch.testing.assert_close(looked_up.prior_mean(x), direct.prior_mean(rows))
    for x2, other in (
        (looked_up.positions, table),
        (x, rows),
        (x_of([3, 3, 39]), table[[3, 3, 39]]),
        (x_of([]), table[:0]),
    ):
        found, expected = looked_up.correlations(x, x2), direct.correlations(rows, other)
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        looked_up.paired_correlations(x, x.flip(0)), direct.paired_correlations(rows, rows.flip(0))
    )


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("block", [1 << 16, 300])
def test_correlations_are_the_same_to_the_bit_whatever_came_before(
    history: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhaustive, "_BLOCK", block)
    table = random_table(333)
    fresh, used = TableInputs(table, BLOCKS), TableInputs(table, BLOCKS)
    for before in HISTORIES[history]:
        used.correlations(x_of(before), used.positions)
    expected = fresh.correlations(x_of(TRIALS), fresh.positions)
    found = used.correlations(x_of(TRIALS), used.positions)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)
    kept = [a.clone() for a in found]
    for after in ([*TRIALS, 1, 2], TRIALS[::-1], [5]):
        used.correlations(x_of(after), used.positions)
    for a, b in zip(found, kept, strict=True):
        assert torch.equal(a, b)  # what was handed out does not change


def test_a_trial_is_correlated_with_the_candidates_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, computed = TableInputs(random_table(), BLOCKS), []
    fill = KeptCorrelations._fill

    def counting(self: KeptCorrelations, rows: Sequence[int], positions: Sequence[int]) -> None:
        computed.extend(positions)
        fill(self, rows, positions)

    monkeypatch.setattr(KeptCorrelations, "_fill", counting)
    for n in range(1, 30):
        inputs.correlations(x_of(list(range(n))), inputs.positions)
    inputs.correlations(x_of(list(range(5, 25))), inputs.positions)
    inputs.correlations(x_of(list(range(29))[::-1]), inputs.positions)
    assert computed == list(range(29))


def test_batches_and_too_many_pairs_are_computed_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = random_table()
    looked_up, direct = TableInputs(table, BLOCKS), FeatureInputs(BLOCKS)
    batch = torch.stack([x_of([1, 2, 3]), x_of([4, 4, 0])])
    rows = table[batch.squeeze(-1).long()]
    torch.testing.assert_close(
        looked_up.correlations(batch, batch), direct.correlations(rows, rows)
    )
    torch.testing.assert_close(looked_up.prior_mean(batch), direct.prior_mean(rows))
    monkeypatch.setattr(exhaustive, "_MAX_CACHED", 100)
    x = x_of(TRIALS)
    found = looked_up.correlations(x, looked_up.positions)
    torch.testing.assert_close(found, direct.correlations(table[TRIALS], table))
    assert not looked_up.kept.positions


def test_gps_on_the_table_are_gps_on_the_features(
    nasbench201_case: Case,
) -> None:
    """The whole way: fit, posterior and expected improvement."""
    space, surrogate = nasbench201_case.space, nasbench201_case.surrogate
    X = space.enumerate()  # of each network the first, whose choices its structure counts
    X = X[np.unique(space.to_graphs(X).pruned().classes()[1], return_index=True)[1]]
    case = Case(surrogate, np.random.default_rng(5).permutation(X)[:30])
    by_table = case.by(ExhaustiveSearch).values(X[::20])
    by_features = case.by(EvolutionarySearch).values(X[::20])
    torch.testing.assert_close(by_table, by_features, rtol=1e-4, atol=1e-6)
