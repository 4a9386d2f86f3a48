"""The hyper-parameters of the Gaussian process on one study, by maximum a posteriori.

With the labels ``y``, their prior mean ``mu`` and correlation matrices ``R_j``::

    y / g ~ N(mu, K),    K = fixed + sum_j v_j R_j + v_n I

The correlations stay fixed, so they are computed once and the gradient is written out: under
``fit_gpytorch_mll``, rebuilding the kernel and its graph of gradients at every step would take
most of a suggestion's time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg import cholesky
from scipy.optimize import minimize


MINIMUM_NOISE = 1e-4  # of the labels' variance

# Prior standard deviations of the logarithms: the label's unit and the variances may move by an
# order of magnitude; noise may not explain what a residual could.
_LABEL_DEVIATION, _VARIANCE_DEVIATION, _NOISE_DEVIATION = 1.0, 1.5, 0.5
_MAX_STEPS = 50


@dataclass(frozen=True)
class Scales:
    """What is fitted to a study.

    Attributes:
        label: ``g``, the labels' unit in that of the past's labels.
        variances: ``v_j`` of each correlation matrix.
        noise: ``v_n``.
    """

    label: float
    variances: tuple[float, ...]
    noise: float

    @classmethod
    def of(cls, logarithms: np.ndarray) -> Scales:
        """From ``log g, log v_1, ..., log v_n``."""
        label, *variances, noise = np.exp(logarithms).tolist()
        return cls(label, tuple(variances), noise)

    @property
    def logarithms(self) -> np.ndarray:
        """The inverse of :meth:`of`."""
        return np.log([self.label, *self.variances, self.noise])


@dataclass(frozen=True)
class Evidence:
    """A study's labels under given correlations.

    Attributes:
        y: ``n`` labels.
        mean: ``n``, of the prior.
        fixed: ``n x n``, the covariance that has no scale to fit.
        correlations: ``J x n x n``.
        center: Where the log-normal priors have their median.
    """

    y: np.ndarray
    mean: np.ndarray
    fixed: np.ndarray
    correlations: np.ndarray
    center: Scales

    def fit(self) -> Scales:
        """The most probable scales."""
        center = self.center.logarithms
        lowest = np.log(2 * MINIMUM_NOISE)  # well inside the GP's constraint
        bounds = [(c - 9, c + 9) for c in center[:-1]] + [(lowest, 5)]
        found = minimize(
            self.loss_and_gradient,
            center,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _MAX_STEPS},
        )
        return Scales.of(found.x)

    def loss_and_gradient(self, logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log posterior without its constants, and its gradient.

        With ``a = K^-1 (y / g - mu)`` the likelihood's derivative by a scale of the covariance is
        ``tr((K^-1 - a a^T) dK) / 2`` (Rasmussen and Williams, 2006, equation 5.9).
        """
        scales = Scales.of(logarithms)
        terms = self._terms(scales)
        inverse, log_determinant = _invert(self.fixed + terms.sum(axis=0), scales.noise)
        scaled = self.y / scales.label
        alpha = inverse @ (scaled - self.mean)
        curvature = inverse - np.outer(alpha, alpha)
        deviation = (logarithms - self.center.logarithms) / self._prior
        log_volume = log_determinant / 2 + len(scaled) * logarithms[0]
        quadratic = (scaled - self.mean) @ alpha + deviation @ deviation
        slopes = [np.vdot(curvature, term) / 2 for term in terms]
        noise = scales.noise * np.trace(curvature) / 2
        gradient = np.array([len(scaled) - scaled @ alpha, *slopes, noise])
        return float(quadratic / 2 + log_volume), gradient + deviation / self._prior

    def residual(self, scales: Scales) -> np.ndarray:
        """``n``: ``K^-1 (y / g - mu)``."""
        inverse, _ = _invert(self.fixed + self._terms(scales).sum(axis=0), scales.noise)
        return np.asarray(inverse @ (self.y / scales.label - self.mean))

    def _terms(self, scales: Scales) -> np.ndarray:
        return np.asarray(np.array(scales.variances)[:, None, None] * self.correlations)

    @property
    def _prior(self) -> np.ndarray:
        variances = len(self.correlations) * [_VARIANCE_DEVIATION]
        return np.array([_LABEL_DEVIATION, *variances, _NOISE_DEVIATION])


def _invert(signal: np.ndarray, noise: float) -> tuple[np.ndarray, float]:
    """Inverse and log determinant of the noisy covariance; the noise keeps it regular."""
    identity = np.eye(len(signal))
    factor = cholesky(signal + noise * identity, lower=True, check_finite=False)
    inverse = cho_solve((factor, True), identity, check_finite=False)
    return inverse, 2 * float(np.log(factor.diagonal()).sum())
