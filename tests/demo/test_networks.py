from __future__ import annotations

from collections.abc import Iterator
import itertools

import pytest
import torch
from torch import nn

from optuna_tnas.demo.networks import NASBench201Cell
from optuna_tnas.demo.networks import NASBench201Network
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CELLS = [
    ("nor_conv_3x3",) * 6,
    ("none",) * 6,
    ("skip_connect",) * 6,
    ("nor_conv_1x1", "none", "none", "skip_connect", "none", "nor_conv_3x3"),
    ("none", "nor_conv_3x3", "nor_conv_1x1", "none", "nor_conv_3x3", "avg_pool_3x3"),
    ("nor_conv_3x3", "none", "nor_conv_3x3", "none", "none", "nor_conv_1x1"),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, and far slower on busy cores."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def naive(cell: NASBench201Cell, ops: tuple[str, ...], x: torch.Tensor) -> torch.Tensor:
    """All six edges, those that the cell left out with fresh operations."""
    built = dict(zip(cell.edges, cell.ops, strict=True))
    nodes = [x, *(torch.zeros_like(x) for _ in range(3))]
    for (source, target), op in zip(EDGES, ops, strict=True):
        operation = built.get((source, target)) or fresh(op, x.shape[1])
        nodes[target] = nodes[target] + operation(nodes[source])
    return nodes[3]


def fresh(op: str, width: int) -> nn.Module:
    """The operation as a cell builds it where it is the only one."""
    if op == "none":
        return Zero()
    (operation,) = NASBench201Cell(["none"] * 3 + [op] + ["none"] * 2, width).ops
    return operation


class Zero(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("ops", CELLS)
def test_leaving_out_dead_operations_does_not_change_the_output(ops: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    cell = NASBench201Cell(ops, 4)
    x = torch.randn(5, 4, 6, 6)

    torch.testing.assert_close(cell(x), naive(cell, ops, x))
    cell.eval()
    torch.testing.assert_close(cell(x), naive(cell, ops, x))


def test_every_cell_of_three_edges_equals_its_naive_computation() -> None:
    x = torch.randn(3, 2, 4, 4)
    for three in itertools.product(NASBENCH201_OPS, repeat=3):
        for ops in (
            (*three, "none", "skip_connect", "nor_conv_1x1"),
            ("none", *three, "nor_conv_3x3", "nor_conv_3x3"),
        ):
            cell = NASBench201Cell(ops, 2)
            torch.testing.assert_close(cell(x), naive(cell, ops, x))


@pytest.mark.parametrize(
    ("ops", "n_built"),
    [(CELLS[0], 6), (CELLS[1], 0), (CELLS[3], 1), (CELLS[4], 2), (CELLS[5], 3)],
)
def test_only_operations_on_a_path_from_input_to_output_are_built(
    ops: tuple[str, ...], n_built: int
) -> None:
    assert len(NASBench201Cell(ops, 4).ops) == n_built


@pytest.mark.parametrize("ops", CELLS)
@pytest.mark.parametrize(("n_channels", "n_classes"), [(1, 2), (3, 100)])
def test_images_become_logits(ops: tuple[str, ...], n_channels: int, n_classes: int) -> None:
    network = NASBench201Network(ops, n_channels, n_classes, width=4, cells_per_stage=1)

    assert network(torch.randn(6, n_channels, 8, 8)).shape == (6, n_classes)


def test_width_and_depth_change_the_number_of_weights_as_expected() -> None:
    def n_weights(width: int, cells: int) -> int:
        network = NASBench201Network(CELLS[0], 1, 10, width=width, cells_per_stage=cells)
        return sum(p.numel() for p in network.parameters())

    # One more cell a stage: six 3x3 convolutions of 4, 8 and 16 channels.
    assert n_weights(4, 2) - n_weights(4, 1) == 6 * 9 * (4**2 + 8**2 + 16**2)
    assert 3 < n_weights(8, 2) / n_weights(4, 2) < 4.1


def test_many_skip_connections_do_not_blow_up() -> None:
    network = NASBench201Network(CELLS[2], 3, 10, cells_per_stage=5)

    assert network(torch.randn(8, 3, 16, 16)).abs().max() < 100


@pytest.mark.parametrize("ops", [("none",) * 5, ("none",) * 7, ("none",) * 5 + ("conv",)])
def test_other_than_six_known_operations_are_refused(ops: tuple[str, ...]) -> None:
    with pytest.raises(SpaceError, match="takes 6 of the operations"):
        NASBench201Network(ops, 3, 10)
