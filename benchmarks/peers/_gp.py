"""Gaussian processes on categorical choices, for peers written from papers.

The model and its fit are botorch's: a ``SingleTaskGP`` on standardized values with a scaled
``CategoricalKernel`` (a lengthscale per parameter), the Gamma priors that botorch gives a kernel
with a lengthscale and a scale, its log-normal prior on the noise, and ``fit_gpytorch_mll``.
Only the posterior is computed here, since gpytorch's compares all candidates' choices with all
trials' at once. The kernel knows a switched-off parameter as choice 0.

Where hyper-parameters are searched too, the kernel is a Matern-5/2 kernel on numbers from 0 to 1
and one-hot choices, with a lengthscale each and botorch's prior on them, which grows with their
number: with the Gamma prior ``warm_gp`` stayed near the best trials and repeated lines.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.kernels import CategoricalKernel
from botorch.models.model import Model
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from botorch.posteriors.torch import TorchPosterior
from botorch.utils.sampling import manual_seed
from gpytorch.kernels import Kernel
from gpytorch.kernels import ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior
import numpy as np
from optuna.study import Study
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from benchmarks.peers._joint import JointSpace
from benchmarks.peers._sequential import finished
from benchmarks.peers._sequential import Searched
from benchmarks.peers._sequential import SequentialSampler
from benchmarks.peers._sequential import unseen_candidates


# means, variances, best observed value -> what to maximize
Acquisition = Callable[[np.ndarray, np.ndarray, float], np.ndarray]

_CHUNK = 4096  # candidates whose covariances with the trials stay in the processor's cache


class GP:
    """GP on ``n`` rows of a space; its units are standard deviations from their mean value.

    Args:
        model: botorch's fitted model.
        X: ``n x P`` rows.

    Attributes:
        model: As given.
        y: ``n`` standardized values.
    """

    def __init__(self, model: SingleTaskGP, X: np.ndarray) -> None:
        self.model = model
        self.y = model.train_targets.numpy()
        self._outputscale = model.covar_module.outputscale.item()
        self._noise = model.likelihood.noise.item()
        self._mean = model.mean_module.constant.item()
        covariance = self._cross(X) + self._noise * torch.eye(len(X))
        self._whiten = torch.linalg.inv(torch.linalg.cholesky(covariance))  # n x n
        self._residual = self._whiten @ torch.from_numpy(self.y - self._mean)  # n

    def _inputs(self, X: np.ndarray) -> Tensor:
        """Convert ``m x P`` rows to what the model reads."""
        raise NotImplementedError

    def _cross(self, X: np.ndarray) -> Tensor:
        """Return ``m x n`` prior covariances of ``m`` rows with the trials."""
        raise NotImplementedError

    def predict(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``m`` means and ``m`` variances of ``m x P`` architectures."""
        parts = [self._predict(X[i : i + _CHUNK]) for i in range(0, len(X), _CHUNK)]
        mean, variance = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        return mean, variance

    def _predict(self, X: np.ndarray) -> tuple[Tensor, Tensor]:
        whitened = self._cross(X) @ self._whiten.mT  # m x n
        variance = self._outputscale - whitened.square().sum(1)
        return self._mean + whitened @ self._residual, variance.clamp_min(1e-9)

    def draw(self, X: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x m`` joint samples of ``m`` architectures' values without noise."""
        with torch.no_grad():
            posterior = self.model(self._inputs(X))
        covariance = posterior.covariance_matrix + 1e-8 * torch.eye(len(X))
        factor = torch.linalg.cholesky(covariance).numpy()
        return np.asarray(posterior.mean.numpy() + rng.normal(size=(n, len(X))) @ factor.T)

    def leave_one_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Predict each trial from the others: ``n`` means and ``n`` variances.

        Rasmussen and Williams, "Gaussian Processes for Machine Learning", section 5.4.2.
        """
        precision = (self._whiten.mT @ self._whiten).diagonal().numpy()
        weights = (self._whiten.mT @ self._residual).numpy()
        variance = np.maximum(1 / precision - self._noise, 1e-9)
        return self.y - weights / precision, variance


class CategoricalGP(GP):
    """GP on ``n`` architectures.

    Args:
        X: ``n x P`` choice positions.
        y: ``n`` values.
        n_choices: ``P``: how many choices each parameter has.

    Attributes:
        n_choices: As given; the model reads positions divided by it.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, n_choices: np.ndarray) -> None:
        self.n_choices = n_choices
        self._offsets = np.cumsum(n_choices) - n_choices
        lengthscale, outputscale = GammaPrior(3.0, 6.0), GammaPrior(2.0, 0.15)
        kernel = CategoricalKernel(ard_num_dims=X.shape[1], lengthscale_prior=lengthscale)
        scaled = ScaleKernel(kernel, outputscale_prior=outputscale)
        model = _fitted(self._inputs(X), y, scaled)
        self._dissimilarity = self._table(X, scaled.base_kernel.lengthscale.numpy()[0])
        super().__init__(model, X)

    def _inputs(self, X: np.ndarray) -> Tensor:
        return torch.from_numpy(X / self.n_choices)  # botorch warns of inputs outside of [0, 1]

    def _table(self, X: np.ndarray, lengthscale: np.ndarray) -> Tensor:
        """Tabulate ``sum(n_choices) x n``: each choice's share of the distance to each trial."""
        n_choices = self.n_choices
        parameter = np.repeat(np.arange(len(n_choices)), n_choices)
        choice = np.concatenate([np.arange(n) for n in n_choices])
        differs = choice[:, None] != X.T[parameter]
        return torch.from_numpy(differs / lengthscale[parameter, None] / len(n_choices))

    def _cross(self, X: np.ndarray) -> Tensor:
        chosen = torch.from_numpy(X + self._offsets)
        distance = embedding_bag(chosen, self._dissimilarity, mode="sum")
        return distance.neg_().exp_().mul_(self._outputscale)


class MaternGP(GP):
    """GP on ``n`` rows of architecture and hyper-parameters.

    Args:
        X: ``n x P`` rows of ``space``.
        y: ``n`` values.
        space: Converts rows to numbers.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, space: JointSpace) -> None:
        self._space = space
        inputs = self._inputs(X)
        kernel = get_covar_module_with_dim_scaled_prior(inputs.shape[1], use_rbf_kernel=False)
        scaled = ScaleKernel(kernel, outputscale_prior=GammaPrior(2.0, 0.15))
        super().__init__(_fitted(inputs, y, scaled), X)

    def _inputs(self, X: np.ndarray) -> Tensor:
        return torch.from_numpy(self._space.features(X))

    def _cross(self, X: np.ndarray) -> Tensor:
        covariance = self.model.covar_module(self._inputs(X), self.model.train_inputs[0])
        return covariance.to_dense()


def gp_on(space: Searched, X: np.ndarray, y: np.ndarray) -> GP:
    """Fit a GP to ``n x P`` rows of a space and ``n`` values."""
    if isinstance(space, JointSpace):
        return MaternGP(X, y, space)
    return CategoricalGP(X, y, space.n_choices)


def _fitted(X: Tensor, y: np.ndarray, kernel: Kernel) -> SingleTaskGP:
    gp = SingleTaskGP(X, torch.from_numpy(y).unsqueeze(-1), covar_module=kernel)
    # Scipy alone would go on for digits that no acquisition needs.
    options = {"options": {"ftol": 1e-4}}
    with manual_seed(0):  # after a failure botorch starts again from a random place
        fit_gpytorch_mll(ExactMarginalLogLikelihood(gp.likelihood, gp), optimizer_kwargs=options)
    gp.requires_grad_(False)
    return gp


def past_gps(history: Sequence[Study], space: Searched) -> list[GP]:
    """Fit a GP to each past study."""
    return [gp_on(space, *finished(study, space)) for study in history]


# --- Bayesian optimization ------------------------------------------------------------------


def log_expected_improvement(mean: np.ndarray, variance: np.ndarray, best: float) -> np.ndarray:
    """Return the logarithm of expected improvement, which does not underflow."""
    acquisition = LogExpectedImprovement(_Marginals(mean, variance), best_f=best)
    values: Tensor = acquisition(torch.empty(len(mean), 1, 0, dtype=torch.double))
    return values.numpy()


class _Marginals(Model):
    """A botorch model whose posterior is known: ``m`` means and variances, whatever it is asked.

    Args:
        mean: ``m``.
        variance: ``m``.
    """

    num_outputs = 1

    def __init__(self, mean: np.ndarray, variance: np.ndarray) -> None:
        super().__init__()
        moments = (torch.from_numpy(x)[:, None, None] for x in (mean, np.sqrt(variance)))
        self._normal = torch.distributions.Normal(*moments)

    def posterior(self, X: Tensor, *args: Any, **kwargs: Any) -> TorchPosterior:
        """Return the ``m x 1 x 1`` normal distributions."""
        return TorchPosterior(self._normal)


def upper_confidence_bound(mean: np.ndarray, variance: np.ndarray, best: float) -> np.ndarray:
    """Return mean + 2 standard deviations: ``beta=4`` of botorch's ``UpperConfidenceBound``.

    Srinivas et al., "Gaussian Process Optimization in the Bandit Setting" (ICML 2010), have 2.2
    standard deviations at the first and 2.8 at the 50th of 15,625 candidates (delta = 0.1, their
    beta divided by 5 as in their experiments).
    """
    return np.asarray(mean + 2 * np.sqrt(variance))


def first_of(values: np.ndarray, rng: np.random.Generator) -> int:
    """Return the position of the largest value, drawn at random among equal ones."""
    return int(rng.choice(np.flatnonzero(values >= values.max() - 1e-9)))


def bayesian_optimization(
    space: Searched, acquisition: Acquisition, initial: np.ndarray, seed: int
) -> SequentialSampler:
    """Make a sampler that tries the candidate with the best acquisition under a GP on trials."""

    def propose(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        gp = gp_on(space, X, y)
        pool = unseen_candidates(space, X, y, rng)
        values = acquisition(*gp.predict(pool), gp.y.max())
        return np.asarray(pool[first_of(values, rng)])

    return SequentialSampler(space, propose, initial, seed)
