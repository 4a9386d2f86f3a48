"""The published model of a study: the deep kernel alone, adapted by gradient steps."""

from __future__ import annotations

from typing import Any

from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel
from gpytorch.kernels import MaternKernel
from gpytorch.kernels import ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean
from gpytorch.mlls import ExactMarginalLogLikelihood
import torch
from torch import Tensor

from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.deep_kernel_gp import HyperParameters
from optuna_tnas.surrogate.evidence import MINIMUM_NOISE
from optuna_tnas.surrogate.features import LatentMap
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import FeatureInputs


_STEPS, _RATE = 50, 0.1  # of Adam, before every trial


class PaperModel:
    """A GP with the deep kernel, its hyper-parameters adapted by 50 Adam steps before a trial.

    Args:
        network: The meta-trained encoders and hyper-parameters.
        dataset: The data set that is searched on, if known.
    """

    def __init__(self, network: DeepKernelGP, dataset: DatasetSample | None) -> None:
        self.features = LatentMap(network, dataset)
        self._start = network.hyperparameters

    @property
    def no_past(self) -> float:
        """1: the past is in the kernel only."""
        return 1.0

    @property
    def without_past(self) -> PaperModel:
        """The model itself: the past is in its kernel only."""
        return self

    def fit(
        self, inputs: FeatureInputs, x: Tensor, y: Tensor, noise: Tensor | None = None
    ) -> Mixture:
        """Fit the GP; see :class:`~optuna_tnas.surrogate.study_model.StudyModel`.

        Its only noise is the one that it fits.
        """
        assert noise is None
        gp = paper_gp(inputs, x, y, self._start)
        _adam(ExactMarginalLogLikelihood(gp.likelihood, gp).train())
        gp.eval().requires_grad_(False)
        return Mixture(gp)


class FeatureKernel(Kernel):
    """A kernel on the features that inputs stand for.

    Args:
        base_kernel: A kernel on features.
        inputs: Reads the inputs.
    """

    has_lengthscale = False

    def __init__(self, base_kernel: Kernel, inputs: FeatureInputs) -> None:
        super().__init__()
        self.base_kernel = base_kernel
        self._inputs = inputs

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """``... x n x d`` and ``... x m x d`` -> ``... x n x m``, or ``... x n`` if ``diag``."""
        features = self._inputs.features
        covariance: Tensor = self.base_kernel(features(x1), features(x2), diag=diag, **params)
        return covariance


def paper_gp(inputs: FeatureInputs, x: Tensor, y: Tensor, start: HyperParameters) -> StudyGP:
    """Build the GP with given hyper-parameters, not fitted.

    Args:
        inputs: Reads ``x``.
        x: ``n x d`` float64, n >= 1.
        y: ``n`` float64 scaled outcomes.
        start: The hyper-parameters.
    """
    likelihood = GaussianLikelihood(noise_constraint=GreaterThan(MINIMUM_NOISE))
    kernel, mean = ScaleKernel(MaternKernel(nu=2.5)), ConstantMean()
    gp = StudyGP(
        x,
        y.unsqueeze(-1),
        likelihood=likelihood,
        covar_module=FeatureKernel(kernel, inputs),
        mean_module=mean,
        outcome_transform=None,
    )
    mean.initialize(constant=start.mean)
    kernel.initialize(outputscale=start.outputscale)
    kernel.base_kernel.initialize(lengthscale=start.lengthscale)
    likelihood.initialize(noise=max(start.noise, 2 * MINIMUM_NOISE))
    gp.eval()
    return gp


def _adam(mll: ExactMarginalLogLikelihood) -> None:
    optimizer = torch.optim.Adam(mll.model.parameters(), lr=_RATE)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = -mll(mll.model(*mll.model.train_inputs), mll.model.train_targets)
        loss.backward()
        optimizer.step()
