"""What the past studies predict, against a GP for each of them."""

from __future__ import annotations

from gpytorch.kernels import MaternKernel
import numpy as np
import torch
from torch import Tensor

from optuna_tnas.surrogate.kernels import TransferKernel
from optuna_tnas.surrogate.past import likeness
from optuna_tnas.surrogate.past import predict
from optuna_tnas.surrogate.past import start_size
from optuna_tnas.surrogate.past import study_weights


N_LATENTS = 2


def study(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 5, generator=generator, dtype=torch.double)
    return inputs, inputs[:, 0].sin() + inputs[:, 3]


def posterior_mean(inputs: Tensor, y: Tensor, X: Tensor) -> Tensor:
    """The textbook's, from the kernel's own correlations."""
    kernel = TransferKernel(N_LATENTS, (0.5, 0.5))
    signal = sum(kernel.correlations(inputs, inputs)) / 2
    inverse = torch.linalg.inv(signal + 0.1 * torch.eye(len(y), dtype=torch.double))
    return sum(kernel.correlations(X, inputs)) / 2 @ inverse @ y


def test_a_study_predicts_by_its_posterior_mean() -> None:
    inputs, y = study(20, seed=1)
    X, _ = study(3000, seed=3)  # more than one chunk
    found = predict(X, inputs, study_weights(inputs, y, N_LATENTS), N_LATENTS)
    torch.testing.assert_close(found, posterior_mean(inputs, y, X))


def test_likeness_is_the_mean_correlation_of_the_pairs() -> None:
    inputs, other = study(20, seed=1)[0], study(20, seed=2)[0]
    base = MaternKernel(nu=2.5).double().initialize(lengthscale=1.0)
    pairs = zip(other[:, :N_LATENTS], inputs[:, :N_LATENTS], strict=True)
    expected = torch.stack([base(a[None], b[None]).to_dense().squeeze() for a, b in pairs]).mean()
    torch.testing.assert_close(likeness(other[:, :N_LATENTS], inputs, N_LATENTS), expected)
    same = likeness(inputs[:, :N_LATENTS], inputs, N_LATENTS)
    torch.testing.assert_close(same, torch.ones_like(same))


def test_equal_labels_predict_nothing() -> None:
    inputs, y = study(20, seed=1)
    assert not study_weights(inputs, torch.zeros_like(y), 2).any()


def test_prediction_ranks_what_the_study_saw() -> None:
    inputs, y = study(60, seed=1)
    found = predict(inputs, inputs, study_weights(inputs, y, 2), 2)
    assert np.corrcoef(found.numpy(), y.numpy())[0, 1] > 0.95


def test_start_is_as_large_as_the_studies_disagree() -> None:
    agreed = torch.tensor([[1.0, 0.9, 1.1], [0.9, 1.0, 1.0], [0.5, 0.6, 0.4]])
    assert start_size(agreed) == 1
    assert start_size(torch.eye(3)) == 3
    assert start_size(torch.cat([torch.eye(3), torch.ones(2, 3)])) == 3
    assert start_size(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 9.0]])) == 1  # the order is kept
    assert start_size(torch.zeros(1, 2)) == 1
