"""The hyper-parameters of the Gaussian process on one study, by maximum a posteriori.

Four numbers are fitted while the latents stay fixed, so the distances are computed once and the
gradient is written out: under ``fit_gpytorch_mll``, rebuilding the kernel and its graph of
gradients at every step would take most of a suggestion's time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg import cholesky
from scipy.optimize import minimize


MINIMUM_NOISE = 1e-4  # of the labels' variance


@dataclass(frozen=True)
class HyperParameters:
    """The GP's own hyper-parameters, for labels of variance 1."""

    mean: float = 0.0
    outputscale: float = 1.0
    lengthscale: float = 1.0
    noise: float = 0.05


# Prior standard deviations of the mean and of the logarithms of output scale, lengthscale and
# noise: the data may move each by about one order of magnitude.
_PRIOR = np.array([0.5, 0.75, 0.75, 1.0])
_MAX_STEPS = 50


def fit(distance: np.ndarray, y: np.ndarray, start: HyperParameters) -> HyperParameters:
    """Adapt ``start`` to a study under normal and log-normal priors centered on it.

    Args:
        distance: ``n x n`` Euclidean distances of the latents.
        y: ``n`` scaled labels.
        start: The meta-learned hyper-parameters.
    """
    center = _to_vector(start)
    lowest = np.log(2 * MINIMUM_NOISE)  # well inside the GP's constraint
    bounds = [(None, None), (-9, 9), (center[2] - 9, center[2] + 9), (lowest, 5)]
    center[3] = max(center[3], lowest)
    found = minimize(
        lambda theta: loss_and_gradient(theta, center, distance, y),
        center,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _MAX_STEPS},
    )
    return HyperParameters(found.x[0], *np.exp(found.x[1:]).tolist())


def _to_vector(h: HyperParameters) -> np.ndarray:
    return np.array([h.mean, *np.log([h.outputscale, h.lengthscale, h.noise])])


def loss_and_gradient(
    theta: np.ndarray, center: np.ndarray, distance: np.ndarray, y: np.ndarray
) -> tuple[float, np.ndarray]:
    """Minus the log posterior without its constants, and its gradient.

    With ``K = s M(d / l) + v I`` and ``a = K^-1 (y - m)`` the likelihood's derivative is
    ``tr((K^-1 - a a^T) dK) / 2`` (Rasmussen and Williams, 2006, equation 5.9).

    Args:
        theta: ``m, log s, log l, log v``.
        center: The prior's center, in the same form.
        distance: ``n x n``.
        y: ``n``.
    """
    scale, length, noise = np.exp(theta[1:])
    a = 5**0.5 * distance / length
    decay = scale * np.exp(-a)
    signal = (1 + a + a * a / 3) * decay
    inverse, log_determinant = _invert(signal, noise)
    residual = y - theta[0]
    alpha = inverse @ residual
    curvature = inverse - np.outer(alpha, alpha)
    deviation = (theta - center) / _PRIOR
    loss = (residual @ alpha + log_determinant + deviation @ deviation) / 2
    gradient = deviation / _PRIOR + np.array(
        [
            -alpha.sum(),
            np.vdot(curvature, signal) / 2,
            np.vdot(curvature, a * a * (1 + a) * decay) / 6,
            noise * np.trace(curvature) / 2,
        ]
    )
    return float(loss), gradient


def _invert(signal: np.ndarray, noise: float) -> tuple[np.ndarray, float]:
    """Inverse and log determinant of the noisy covariance; the noise keeps it regular."""
    identity = np.eye(len(signal))
    factor = cholesky(signal + noise * identity, lower=True, check_finite=False)
    inverse = cho_solve((factor, True), identity, check_finite=False)
    return inverse, 2 * float(np.log(factor.diagonal()).sum())
