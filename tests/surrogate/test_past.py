"""What the past studies predict, against a GP for each of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.surrogate.kernel import TransferKernel
from optuna_tnas.surrogate.past import Past
from optuna_tnas.surrogate.past import predict
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


def test_prediction_is_the_mean_of_the_studies_posterior_means() -> None:
    studies = [study(20, seed=1), study(7, seed=2)]
    weights = torch.cat([study_weights(*s, N_LATENTS) for s in studies], dim=1) / 2
    X, _ = study(3000, seed=3)  # more than one chunk
    found = predict(X, torch.cat([inputs for inputs, _ in studies]), weights, N_LATENTS)
    expected = torch.stack([posterior_mean(*s, X) for s in studies]).mean(dim=0)
    torch.testing.assert_close(found, expected)


def test_last_column_is_not_looked_at() -> None:
    inputs, y = study(20, seed=1)
    changed = torch.cat([inputs[:, :-1], torch.ones(20, 1)], dim=-1)
    assert torch.equal(study_weights(changed, y, 2), study_weights(inputs, y, 2))


def test_equal_labels_predict_nothing() -> None:
    inputs, y = study(20, seed=1)
    assert not study_weights(inputs, torch.zeros_like(y), 2).any()


def test_prediction_ranks_what_the_study_saw() -> None:
    inputs, y = study(60, seed=1)
    found = predict(inputs, inputs, study_weights(inputs, y, 2), 2)
    assert np.corrcoef(found.numpy(), y.numpy())[0, 1] > 0.95


def test_each_study_alone_predicts_by_its_own_posterior_mean() -> None:
    studies = [study(20, seed=1), study(7, seed=2)]
    weights = torch.cat([study_weights(*s, N_LATENTS) for s in studies], dim=1) / 2
    task = np.repeat([0, 1], [20, 7])
    past = Past(np.zeros((27, 1), dtype=np.int64), task, torch.zeros(2, 1), weights)
    X, _ = study(30, seed=3)
    inputs = torch.cat([inputs for inputs, _ in studies])
    found = predict(X, inputs, past.alone(), N_LATENTS)
    expected = torch.stack([posterior_mean(*s, X) for s in studies], dim=1)
    torch.testing.assert_close(found, expected)
