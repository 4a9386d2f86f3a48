from __future__ import annotations

import pytest
import torch
from torch import nn
from torch import Tensor
from torch.nn.functional import one_hot

from benchmarks.live.supernet import Cell
from benchmarks.live.supernet import N_EDGES
from benchmarks.live.supernet import N_OPS
from benchmarks.live.supernet import SharedCell
from benchmarks.live.supernet import SharedNetwork
from benchmarks.live.supernet import shuffled
from optuna_tnas.demo.networks import EDGES
from optuna_tnas.demo.networks import NASBench201Cell
from optuna_tnas.demo.networks import NASBench201Network
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


CELLS: list[Cell] = [
    ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "avg_pool_3x3", "nor_conv_3x3", "none"),
    ("none", "avg_pool_3x3", "nor_conv_3x3", "nor_conv_1x1", "none", "skip_connect"),  # pruned
    N_EDGES * ("nor_conv_3x3",),
    N_EDGES * ("skip_connect",),
    ("nor_conv_1x1", "none", "none", "none", "none", "nor_conv_3x3"),  # no path
]


def images() -> Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(partial: int = 1) -> SharedNetwork:
    torch.manual_seed(0)
    return SharedNetwork(3, 4, width=4, partial=partial)


def alone(shared: SharedNetwork, cell: Cell) -> NASBench201Network:
    """Copy the weights of a path into the package's network of that cell."""
    single = NASBench201Network(cell, 3, 4, width=4)
    for own, other in zip(single.features, shared.layers, strict=True):
        if isinstance(own, NASBench201Cell):
            assert isinstance(other, SharedCell)
            _copy_operations(own, other, cell)
        else:
            own.load_state_dict(other.state_dict(), strict=False)  # without running statistics
    single.classifier.load_state_dict(shared.classifier.state_dict())
    return single.train()  # the batch's own statistics


def _copy_operations(own: NASBench201Cell, shared: SharedCell, cell: Cell) -> None:
    for edge, operation in zip(own.edges, own.ops, strict=True):
        i = EDGES.index(edge)
        if isinstance(operation, nn.Sequential):
            convolution = shared.convolutions[i][cell[i]][0]
            operation[1].load_state_dict(convolution.state_dict())


@pytest.mark.parametrize("cell", CELLS)
def test_a_path_is_the_packages_network_with_the_same_weights(cell):
    shared = network()
    assert torch.equal(shared.path(images(), cell), alone(shared, cell)(images()))


@pytest.mark.parametrize("cell", CELLS)
def test_a_mixture_with_one_hot_weights_is_the_path(cell):
    shared = network()
    weights = one_hot(torch.tensor([NASBENCH201_OPS.index(op) for op in cell]), N_OPS).float()
    mixed = shared.mixture(images(), weights)
    torch.testing.assert_close(mixed, shared.path(images(), cell), atol=1e-5, rtol=1e-5)


def test_evaluation_normalizes_as_training_does():
    shared = network()
    trained = shared.path(images(), CELLS[0])
    assert torch.equal(shared.eval().path(images(), CELLS[0]), trained)


def test_gates_multiply_the_terms_of_the_edges():
    cell = network().layers[2]
    assert isinstance(cell, SharedCell)
    x = torch.randn(2, 4, 5, 5)
    skips = N_EDGES * ("skip_connect",)
    gates = torch.tensor([2.0, 3.0, 5.0, 7.0, 11.0, 13.0])
    # 0 -> 1: 2, 0 -> 2: 3, 1 -> 2: 5, 0 -> 3: 7, 1 -> 3: 11, 2 -> 3: 13
    expected = 7 + 2 * 11 + (3 + 2 * 5) * 13
    torch.testing.assert_close(cell.path(x, skips, gates), expected * x)


def test_operations_may_read_a_part_of_the_channels():
    cell = network(partial=4).layers[2]
    assert isinstance(cell, SharedCell)
    x, weights = torch.randn(2, 4, 5, 5), torch.zeros(N_EDGES, N_OPS)
    weights[:, NASBENCH201_OPS.index("skip_connect")] = 3.0
    edges = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    scale = torch.tensor([3.0, 1.0, 1.0, 1.0]).view(1, 4, 1, 1)  # one of four channels is read
    torch.testing.assert_close(cell.mixture(x, weights, edges), scale * x)


def test_channels_are_shuffled_between_groups():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffled(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
