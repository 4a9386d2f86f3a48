"""Both kernels in gpytorch's own suite for kernels, and against their definitions."""

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
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.kernels import DeepKernel
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.kernels import gaussian
from optuna_tnas.surrogate.kernels import matern
from optuna_tnas.surrogate.kernels import squared_distance
from optuna_tnas.surrogate.kernels import TransferKernel
from optuna_tnas.surrogate.kernels import weighted_correlations


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


def transfer_kernel(latents: int, structure: int, n_studies: int, **kwargs: Any) -> TransferKernel:
    inputs = FeatureInputs(Blocks.of_widths(latents, structure, n_studies))
    return TransferKernel(inputs, (0.7, 1.3), 100.0, 1.0, **kwargs)


class TestTransferKernelInGPyTorchSuite(BaseKernelTestCase, TestCase):
    def create_kernel_no_ard(self, **kwargs: Any) -> TransferKernel:
        """For inputs of any width: one latent, one prediction, the rest is structure."""
        blocks = Blocks(slice(0, 1), slice(1, -1), slice(-1, None))
        return TransferKernel(FeatureInputs(blocks), (0.7, 1.3), 100.0, 1.0, **kwargs)

    def create_data_no_batch(self) -> Tensor:
        return torch.randn(50, 10, dtype=torch.double)

    def create_data_single_batch(self) -> Tensor:
        return torch.randn(2, 50, 4, dtype=torch.double)

    def create_data_double_batch(self) -> Tensor:
        return torch.randn(3, 2, 50, 4, dtype=torch.double)


@pytest.mark.parametrize(("mean_variance", "weight_variance"), [(100.0, 1.0), (3.0, 0.5), (0, 0)])
def test_transfer_kernel_is_a_sum_of_gpytorchs_kernels(
    mean_variance: float, weight_variance: float
) -> None:
    x, other = (torch.randn(n, 7, dtype=torch.double) for n in (9, 5))
    deep = MaternKernel(nu=2.5, active_dims=(0, 1, 2)).double().initialize(lengthscale=1.0)
    structure = RBFKernel(active_dims=(3, 4)).double().initialize(lengthscale=1.0)
    weight = LinearKernel().double().initialize(variance=1.0)
    inputs = FeatureInputs(Blocks.of_widths(3, 2, 2))
    kernel = TransferKernel(inputs, (0.7, 1.3), mean_variance, weight_variance).double()
    for pair in [(x, x), (x, other)]:
        predicted = [z[:, 5:] for z in pair]
        parts = [k(*pair).to_dense() for k in (deep, structure)]
        past = weight_variance * weight(*predicted).to_dense()
        expected = mean_variance + 0.7 * parts[0] + 1.3 * parts[1] + past
        torch.testing.assert_close(kernel(*pair).to_dense(), expected, rtol=1e-6, atol=1e-6)


def test_known_features_add_a_matern_kernel() -> None:
    x, other = (torch.randn(n, 7, dtype=torch.double) for n in (9, 5))
    known = MaternKernel(nu=2.5, active_dims=(5, 6)).double().initialize(lengthscale=1.0)
    with_it = FeatureInputs(Blocks.of_widths(3, 2, known=2))
    kernels = [
        TransferKernel(inputs, variances, 100.0, 1.0).double()
        for inputs, variances in ((with_it, (0.7, 1.3, 0.4)), (of_widths(3, 2), (0.7, 1.3)))
    ]
    for pair in [(x, x), (x, other)]:
        added = 0.4 * known(*pair).to_dense()
        found, rest = (kernel(*pair).to_dense() for kernel in kernels)
        torch.testing.assert_close(found, rest + added, rtol=1e-6, atol=1e-6)
    expected = kernels[0](x).to_dense().diagonal()
    torch.testing.assert_close(kernels[0](x, x.clone(), diag=True), expected)


def of_widths(latents: int, structure: int) -> FeatureInputs:
    return FeatureInputs(Blocks.of_widths(latents, structure))


def test_transfer_kernel_is_positive_semidefinite() -> None:
    x = torch.randn(60, 7, dtype=torch.double)
    K = transfer_kernel(3, 3, 1)(torch.cat([x, x[:10]])).to_dense()
    torch.testing.assert_close(K, K.mT)
    assert torch.linalg.eigvalsh(K).min() > -1e-8


def test_transfer_kernel_has_a_diagonal() -> None:
    x, other = (torch.randn(9, 7, dtype=torch.double) for _ in range(2))
    kernel = transfer_kernel(3, 3, 1)
    for pair in [(x, x), (x, other)]:
        expected = kernel(*pair).to_dense().diagonal()
        torch.testing.assert_close(kernel(*pair, diag=True), expected, rtol=1e-6, atol=1e-6)


def test_weighted_sum_is_a_product_with_the_covariance() -> None:
    x, other = (torch.randn(n, 7, dtype=torch.double) for n in (9, 5))
    alpha, kernel = torch.randn(9, dtype=torch.double), transfer_kernel(3, 2, 2).double()
    torch.testing.assert_close(
        kernel.weighted_sum(alpha, x, other), alpha @ kernel(x, other).to_dense()
    )


def test_correlations_are_gpytorchs_kernels_of_distances() -> None:
    x, other = (torch.randn(n, 3, dtype=torch.double) for n in (9, 5))
    squared = squared_distance(x, other)
    torch.testing.assert_close(squared, torch.cdist(x, other).square())
    for ours, theirs in [(matern, MaternKernel(nu=2.5)), (gaussian, RBFKernel())]:
        expected = theirs.double().initialize(lengthscale=1.0)(x, other).to_dense()
        torch.testing.assert_close(ours(squared.clone()), expected)
    assert (squared_distance(x, x).diagonal() >= 0).all()


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_weighted_correlations_are_a_product_with_the_correlations(
    offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far from the origin too, where squares are too large for single precision."""
    monkeypatch.setattr(kernels, "_MAX_CACHED", 20)
    x, other = (torch.randn(n, 3, dtype=torch.double) + offset for n in (9, 5))
    weights = torch.randn(5, 2, dtype=torch.double)
    for correlation in (matern, gaussian):
        expected = correlation(torch.cdist(x, other).square()) @ weights
        found = weighted_correlations(correlation, x, other, weights)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
