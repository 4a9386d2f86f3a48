"""What both models of a study have in common, whatever the trials are."""

from __future__ import annotations

from collections.abc import Callable
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import TransferKernel
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.transfer import MEAN_VARIANCE
from tests.fixtures.trials import fitted_paper_gp
from tests.fixtures.trials import random_features
from tests.fixtures.trials import transfer
from tests.fixtures.trials import wavy


FitGP = Callable[[Tensor, Tensor], StudyGP]

LABELS = {
    "one": [0.93],
    "two": [0.93, 0.91],
    "three": [0.93, 0.91, 0.2],
    "equal": [0.5] * 6,
    "outlier": [0.93, 0.91, 0.92, 0.9, -1e9],
    "three, one outlier": [0.93, 0.91, -1e9],
    "two, one outlier": [0.93, -1e9],
    "infinite": [0.93, -np.inf, np.inf, 0.91],
    "huge": [1e300, -1e300, 3e299],
}


def outputscale(gp: StudyGP) -> float:
    """The signal's scale: of the paper's kernel, or the squared unit of the default one's."""
    kernel = gp.covar_module
    if isinstance(kernel, TransferKernel):
        return kernel._mean_variance / MEAN_VARIANCE
    return float(kernel.base_kernel.outputscale)


both = pytest.mark.parametrize("fit", [fitted_paper_gp, transfer])


@both
@pytest.mark.parametrize("name", LABELS)
def test_fit_is_robust(fit: FitGP, name: str) -> None:
    y = torch.from_numpy(scale_labels(np.array(LABELS[name])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sane(fit(random_features(len(y)), y))


@both
def test_fit_survives_repeated_architectures(fit: FitGP) -> None:
    Z, y = wavy(5)
    check_sane(fit(Z.repeat(4, 1), y.repeat(4)))
    y = torch.from_numpy(scale_labels(np.arange(20.0)))  # the same ones, with other values
    check_sane(fit(Z[:1].repeat(20, 1), y))


def check_sane(gp: StudyGP) -> None:
    assert 1e-8 < outputscale(gp) < 1.4 * 300
    assert 0 < gp.likelihood.noise.item() < 100
    with torch.no_grad():
        posterior = gp.posterior(random_features(50, 1, seed=9))
    assert posterior.mean.isfinite().all()
    assert posterior.mean.abs().max() < 20
    assert (posterior.variance > 0).all()


@both
def test_fit_depends_on_nothing_but_its_arguments(fit: FitGP) -> None:
    for n in (1, 3, 12):
        states = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            gp = fit(*wavy(n))
            assert torch.equal(torch.get_rng_state(), before)
            states.append(gp.posterior(random_features(5, 1)).variance)
        assert torch.equal(*states)


@both
def test_fitted_gp_needs_no_gradients(fit: FitGP) -> None:
    gp = fit(*wavy(12))
    assert not any(p.requires_grad for p in gp.parameters())
    assert not gp.posterior(random_features(3, 1)).mean.requires_grad
