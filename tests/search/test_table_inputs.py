"""Correlations that a search keeps, against those that are computed anew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from optuna_tnas.search import exhaustive
from optuna_tnas.search.exhaustive import TableInputs
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.kernels import TransferKernel


BLOCKS = Blocks.of_widths(3, 3, 1)
WITH_KNOWN = Blocks.of_widths(2, 2, 1, known=2)


@pytest.fixture
def table() -> Tensor:
    return torch.randn(40, 7, generator=torch.Generator().manual_seed(0), dtype=torch.double)


@pytest.mark.parametrize(("blocks", "variances"), [(BLOCKS, (0.7, 1.3)), (WITH_KNOWN, (1, 2, 3))])
def test_kernel_of_positions_is_the_kernel_of_features(
    table: Tensor, blocks: Blocks, variances: tuple[float, ...]
) -> None:
    inputs = TableInputs(table, blocks)
    plain, kept = (
        TransferKernel(i, variances, 100.0, 1.0).double() for i in (FeatureInputs(blocks), inputs)
    )
    for n in (1, 5, 6, 3):  # more trials, and fewer: another study's
        rows = torch.arange(n) * 4
        x = inputs.positions[rows]
        for other in (torch.arange(40), torch.arange(10, 25), torch.tensor([3, 1])):
            expected = plain(table[rows], table[other]).to_dense()
            found = kept(x, inputs.positions[other]).to_dense()
            torch.testing.assert_close(found, expected)
    x = inputs.positions.flip(0)
    expected = kept(x, inputs.positions).to_dense().diagonal()
    torch.testing.assert_close(kept(x, inputs.positions, diag=True), expected)


def test_what_is_kept_does_not_depend_on_the_order_of_questions(table: Tensor) -> None:
    at_once, one_by_one = TableInputs(table, BLOCKS), TableInputs(table, BLOCKS)
    x = at_once.positions[:9]
    for n in range(1, 10):
        one_by_one.correlations(x[:n], one_by_one.positions)
    for order in (x, x.flip(0), x[2:7]):
        first = at_once.correlations(order, at_once.positions)
        second = one_by_one.correlations(order, one_by_one.positions)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_memory_has_a_limit(table: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhaustive, "_MAX_CACHED", 5 * 40)
    inputs = TableInputs(table, BLOCKS)
    for first, n in [(0, 4), (3, 5), (10, 6), (20, 3)]:
        rows = torch.arange(first, first + n)
        found = inputs.correlations(inputs.positions[rows], inputs.positions)
        expected = FeatureInputs(BLOCKS).correlations(table[rows], table)
        torch.testing.assert_close(found, expected)
        assert len(inputs.kept.positions) <= 5
