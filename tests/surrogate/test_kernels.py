"""The deep kernel in gpytorch's own suite for kernels, and against its definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import TestCase

from gpytorch.kernels import Kernel
from gpytorch.kernels import LinearKernel
from gpytorch.kernels import MaternKernel
from gpytorch.kernels import RBFKernel
from gpytorch.kernels import ScaleKernel
from gpytorch.test.base_kernel_test_case import BaseKernelTestCase
import pytest
import torch
from torch import nn
from torch import Tensor

from optuna_tnas.surrogate import kernels
from optuna_tnas.surrogate.kernels import DeepKernel
from optuna_tnas.surrogate.kernels import Remembered
from optuna_tnas.surrogate.kernels import TransferKernel


class _Waves(nn.Module):
    """A network for inputs of any width."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.sin(x), x.cumsum(dim=-1) / 2], dim=-1)


class TestGPyTorchSuite(BaseKernelTestCase, TestCase):
    def create_kernel_no_ard(self, batch_shape: Sequence[int] = (), **kwargs: Any) -> DeepKernel:
        shape = torch.Size(batch_shape)
        matern = MaternKernel(nu=2.5, batch_shape=shape)
        return DeepKernel(_Waves(), ScaleKernel(matern, batch_shape=shape), **kwargs)


@pytest.fixture
def kernel() -> DeepKernel:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return DeepKernel(network, ScaleKernel(MaternKernel(nu=2.5)).double())


def test_is_the_base_kernel_on_encoded_inputs(kernel: DeepKernel) -> None:
    x, other = torch.randn(7, 4), torch.randn(5, 4)
    base = kernel.base_kernel(kernel.network(x).double(), kernel.network(other).double())
    torch.testing.assert_close(kernel(x, other).to_dense(), base.to_dense())
    torch.testing.assert_close(kernel(x, diag=True), kernel(x).to_dense().diagonal())


def test_is_the_matern_formula_on_encoded_inputs(kernel: DeepKernel) -> None:
    kernel.base_kernel.outputscale, kernel.base_kernel.base_kernel.lengthscale = 1.7, 0.6
    x = torch.randn(7, 4)
    z = kernel.network(x).double()
    r = 5**0.5 * (z[:, None] - z).square().sum(-1).sqrt() / 0.6
    torch.testing.assert_close(
        kernel(x).to_dense(), 1.7 * (1 + r + r**2 / 3) * torch.exp(-r), rtol=1e-5, atol=1e-6
    )


def test_is_symmetric_and_positive_semidefinite(kernel: DeepKernel) -> None:
    x = torch.randn(60, 4)
    K = kernel(torch.cat([x, x[:10]])).to_dense()
    torch.testing.assert_close(K, K.mT)
    assert torch.linalg.eigvalsh(K).min() > -1e-8


def test_encodes_in_the_base_kernels_precision(kernel: DeepKernel) -> None:
    assert kernel.encode(torch.randn(3, 4)).dtype == torch.double
    assert kernel(torch.randn(3, 4)).to_dense().dtype == torch.double


def test_gradients_reach_the_network_and_the_base_kernel(kernel: DeepKernel) -> None:
    kernel(torch.randn(9, 4)).to_dense()[0, 1:].sum().backward()
    for name, parameter in kernel.named_parameters():
        if name != "network.2.bias":  # cancels in distances
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_is_a_kernel_like_any_other(kernel: DeepKernel) -> None:
    total: Kernel = kernel + kernel
    x = torch.randn(5, 4)
    torch.testing.assert_close(total(x).to_dense(), 2 * kernel(x).to_dense())


# --- the default GP's kernel ----------------------------------------------------------------


class TestTransferKernelInGPyTorchSuite(BaseKernelTestCase, TestCase):
    def create_kernel_no_ard(self, **kwargs: Any) -> TransferKernel:
        return TransferKernel(1, (0.7, 1.3), **kwargs)

    def create_data_no_batch(self) -> Tensor:
        return torch.randn(50, 10, dtype=torch.double)

    def create_data_single_batch(self) -> Tensor:
        return torch.randn(2, 50, 4, dtype=torch.double)

    def create_data_double_batch(self) -> Tensor:
        return torch.randn(3, 2, 50, 4, dtype=torch.double)


def test_transfer_kernel_is_a_sum_of_gpytorchs_kernels() -> None:
    x, other = (torch.randn(n, 7, dtype=torch.double) for n in (9, 5))
    deep = MaternKernel(nu=2.5, active_dims=(0, 1, 2)).double().initialize(lengthscale=1.0)
    structure = RBFKernel(active_dims=(3, 4)).double().initialize(lengthscale=1.0)
    weight = LinearKernel().double().initialize(variance=1.0)
    kernel = TransferKernel(3, (0.7, 1.3), n_studies=2)
    for pair in [(x, x), (x, other)]:
        totals = [z[:, 5:].sum(dim=1, keepdim=True) for z in pair]  # what the studies predict
        parts = [k(*pair).to_dense() for k in (deep, structure)]
        expected = 100 + 0.7 * parts[0] + 1.3 * parts[1] + weight(*totals).to_dense()
        torch.testing.assert_close(kernel(*pair).to_dense(), expected, rtol=1e-6, atol=1e-6)


def test_transfer_kernel_is_positive_semidefinite() -> None:
    x = torch.randn(60, 7, dtype=torch.double)
    K = TransferKernel(3, (0.7, 1.3), 1)(torch.cat([x, x[:10]])).to_dense()
    torch.testing.assert_close(K, K.mT)
    assert torch.linalg.eigvalsh(K).min() > -1e-8


@pytest.fixture
def candidates() -> Tensor:
    return torch.randn(40, 7, dtype=torch.double)


def test_remembered_correlations_are_the_kernels(candidates: Tensor) -> None:
    remembered = Remembered(candidates, 3, 1)
    plain, fast = TransferKernel(3, (0.7, 1.3), 1), TransferKernel(3, (0.7, 1.3), 1, remembered)
    for n in (1, 5, 6, 3):  # more trials, and fewer: another study's
        x = candidates[torch.arange(n) * 4]
        for run in (candidates, candidates[10:25], candidates[[3, 1]], torch.randn(4, 7).double()):
            torch.testing.assert_close(fast(x, run).to_dense(), plain(x, run).to_dense())


def test_remembered_correlations_have_a_diagonal(candidates: Tensor) -> None:
    kernel = TransferKernel(3, (0.7, 1.3), 1, Remembered(candidates, 3, 1))
    x = candidates.flip(0)
    expected = kernel(x, candidates).to_dense().diagonal()
    torch.testing.assert_close(kernel(x, candidates, diag=True), expected)


def test_what_is_remembered_does_not_depend_on_the_order_of_questions(candidates: Tensor) -> None:
    x = candidates[:9].clone()
    at_once, one_by_one = Remembered(candidates, 3, 1), Remembered(candidates, 3, 1)
    for n in range(1, 10):
        one_by_one.correlations(x[:n], candidates)
    for a, b in zip(
        at_once.correlations(x, candidates), one_by_one.correlations(x, candidates), strict=True
    ):
        assert torch.equal(a, b)


def test_only_candidates_in_their_own_memory_are_covered(candidates: Tensor) -> None:
    remembered = Remembered(candidates, 3, 1)
    x = candidates[:3]
    assert remembered.covers(x, candidates)
    assert remembered.covers(x, candidates[5:9])
    assert not remembered.covers(x, candidates.clone())
    assert not remembered.covers(x, candidates[:, None])


def test_memory_has_a_limit(candidates: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_MAX_REMEMBERED", 5 * 40)
    remembered = Remembered(candidates, 3, 1)
    assert not remembered.covers(candidates[:6], candidates)
    for first in range(10):
        x = candidates[first : first + 4]
        deep, _ = remembered.correlations(x, candidates)
        torch.testing.assert_close(
            deep, TransferKernel(3, (1.0, 1.0), 1).correlations(x, candidates)[0]
        )
        assert len(remembered._places) <= 5
