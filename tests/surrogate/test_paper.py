"""The paper's model of a study: where it starts, and what its gradient steps improve."""

from __future__ import annotations

from collections.abc import Callable

from gpytorch.kernels import MaternKernel
from gpytorch.kernels import ScaleKernel
import numpy as np
import pytest
import torch

from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.paper import FeatureKernel
from optuna_tnas.surrogate.paper import PaperModel
from tests.fixtures.trials import fitted_paper_gp
from tests.fixtures.trials import random_features
from tests.fixtures.trials import unfitted
from tests.fixtures.trials import wavy


def test_fit_improves_the_likelihood() -> None:
    Z, y = wavy(40)
    before = log_marginal_likelihood(unfitted(Z, y))
    assert log_marginal_likelihood(fitted_paper_gp(Z, y)) > before + 1


def log_marginal_likelihood(gp: StudyGP) -> float:
    gp.train()
    with torch.no_grad():
        marginal = gp.likelihood(gp(*gp.train_inputs))
        result = float(marginal.log_prob(gp.train_targets))
    gp.eval()
    return result


def test_starts_from_the_given_hyperparameters() -> None:
    gp = unfitted(*wavy(3))
    kernel = gp.covar_module.base_kernel
    assert gp.mean_module.constant.item() == pytest.approx(0.3)
    assert kernel.outputscale.item() == pytest.approx(1.4)
    assert kernel.base_kernel.lengthscale.item() == pytest.approx(1.2)
    assert gp.likelihood.noise.item() == pytest.approx(0.1)


class Doubled(FeatureInputs):
    """Inputs that stand for twice themselves."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_feature_kernel_is_the_base_kernel_on_features() -> None:
    x, other = random_features(5), random_features(3, seed=1)
    base = ScaleKernel(MaternKernel(nu=2.5)).double()
    kernel = FeatureKernel(base, Doubled(Blocks.of_widths(4)))
    torch.testing.assert_close(
        kernel(x, other).to_dense(), base(2 * x, 2 * other).to_dense(), rtol=1e-6, atol=1e-8
    )
    torch.testing.assert_close(kernel(x, diag=True), base(2 * x, diag=True))


def test_model_reads_latents_and_starts_from_the_meta_learned_hyperparameters(
    surrogate_of: Callable[[str], MetaSurrogate],
) -> None:
    surrogate = surrogate_of("small")
    model = PaperModel(surrogate.network, None)
    X = surrogate.space.sample(6, np.random.default_rng(0))
    x = model.features(X)
    network = surrogate.network
    latents = network.latents(network.encode_architectures(X), network.encode_dataset(None))
    torch.testing.assert_close(x, latents)
    (gp,) = model.fit(FeatureInputs(model.features.blocks), x, wavy(6)[1]).gps
    found = gp.covar_module.base_kernel.base_kernel.lengthscale.item()
    # 50 steps of 0.1 move a hyper-parameter, but not arbitrarily far.
    assert abs(found - network.hyperparameters.lengthscale) < 5
    assert found != network.hyperparameters.lengthscale
