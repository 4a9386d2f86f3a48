"""The marginal likelihood of a study's outcomes, and the scales that maximize it a posteriori.

With the outcomes ``y``, their prior mean ``mu`` and correlation matrices ``R_j``::

    y / g ~ N(mu, K),    K = fixed + sum_j v_j R_j + v_n I

The correlations stay fixed, so they are computed once and the gradient is written out: under
``fit_gpytorch_mll``, rebuilding the kernel and its graph of gradients at every step would take
most of a suggestion's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import minimize
from scipy.optimize import OptimizeResult
import torch
from torch import Tensor

from optuna_tnas.surrogate.numerics import cholesky


MINIMUM_NOISE = 1e-4  # in units of the outcomes' variance

# Prior standard deviations of the logarithms: the outcomes' unit and the variances may move by an
# order of magnitude; noise may not explain what a residual could.
_UNIT_DEVIATION, _VARIANCE_DEVIATION, _NOISE_DEVIATION = 1.0, 1.5, 0.5
_MAX_STEPS = 50
# How far above its minimum the loss is, by a quadratic model, when the search ends: the scales
# are then known far better than so few trials determine them.
_TOLERANCE = 1e-3
_MAX_LOGARITHM = 9.0  # scales beyond are as good as 0 or infinite


@dataclass(frozen=True)
class Scales:
    """The scales that are fitted to a study.

    Attributes:
        unit: ``g``, the outcomes' unit in that of the past's outcomes.
        variances: ``v_j`` of each correlation matrix.
        noise: ``v_n``.
    """

    unit: float
    variances: tuple[float, ...]
    noise: float

    @classmethod
    def of(cls, logarithms: np.ndarray) -> Scales:
        """Read ``log g, log v_1, ..., log v_n``, the noise at least twice its minimum."""
        unit, *variances, noise = np.exp(logarithms.clip(-_MAX_LOGARITHM, _MAX_LOGARITHM)).tolist()
        return cls(unit, tuple(variances), max(noise, 2 * MINIMUM_NOISE))

    @property
    def logarithms(self) -> np.ndarray:
        """Inverse of :meth:`of`."""
        return np.log([self.unit, *self.variances, self.noise])


@dataclass(frozen=True)
class Point:
    """The posterior density of the scales at one point.

    Attributes:
        loss: Minus its logarithm, without constants.
        gradient: Derivatives of the loss by the logarithms of the scales.
        hessian: Approximate second derivatives.
        factor: ``n x n``, lower Cholesky factor of ``K``.
        alpha: ``n``, ``K^-1 (y / g - mu)``.
    """

    loss: float
    gradient: np.ndarray
    hessian: np.ndarray
    factor: Tensor
    alpha: Tensor

    @property
    def excess(self) -> float:
        """How far the loss is above its minimum, by a quadratic model."""
        return float(self.gradient @ np.linalg.solve(self.hessian, self.gradient)) / 2


@dataclass(frozen=True)
class Fit:
    """The most probable scales of a study.

    Attributes:
        scales: The scales.
        factor: ``n x n``, lower Cholesky factor of ``K``.
        alpha: ``n``, ``K^-1 (y / g - mu)``.
        log_evidence: Logarithm of the posterior density without its constants.
    """

    scales: Scales
    factor: Tensor
    alpha: Tensor
    log_evidence: float


@dataclass(frozen=True)
class Evidence:
    """A study's outcomes under given correlations.

    Attributes:
        y: ``n`` float64 outcomes.
        mean: ``n`` float64, their prior mean.
        fixed: ``n x n``, the covariance that has no scale to fit.
        correlations: ``J x n x n``.
        center: Medians of the scales' log-normal priors.
    """

    y: Tensor
    mean: Tensor
    fixed: Tensor
    correlations: Tensor
    center: Scales

    def fit(self) -> Fit:
        """Find the most probable scales, by Newton steps in a trust region from their medians."""
        at = lru_cache(maxsize=2)(lambda logarithms: self.evaluate(np.array(logarithms)))

        def stop(intermediate_result: OptimizeResult) -> None:
            if abs(at(tuple(intermediate_result.x)).excess) < _TOLERANCE:
                raise StopIteration

        found = minimize(
            lambda x: at(tuple(x)).loss,
            self.center.logarithms,
            jac=lambda x: at(tuple(x)).gradient,
            hess=lambda x: at(tuple(x)).hessian,
            method="trust-exact",
            callback=stop,
            options={"gtol": 0.0, "maxiter": _MAX_STEPS, "initial_trust_radius": 2.0},
        )
        best = at(tuple(found.x))
        return Fit(Scales.of(found.x), best.factor, best.alpha, -best.loss)

    def evaluate(self, logarithms: np.ndarray) -> Point:
        """Compute minus the log posterior without its constants, and its derivatives.

        With ``a = K^-1 (y / g - mu)`` the likelihood's derivative by a scale of the covariance is
        ``tr((K^-1 - a a^T) dK) / 2`` (Rasmussen and Williams, 2006, equation 5.9), and the mean
        of its observed and expected second derivatives is ``a^T dK_i K^-1 dK_j a / 2``, without
        traces (Gilmour, Thompson and Cullis, "Average information REML", Biometrics 1995).
        """
        scales = Scales.of(logarithms)
        factor, alpha = self._solve(scales)
        scaled = self.y / scales.unit
        fitted = float(scaled @ alpha)
        deviation = (logarithms - self.center.logarithms) / self._prior
        log_volume = float(factor.diagonal().log().sum()) + len(scaled) * logarithms[0]
        quadratic = fitted - float(self.mean @ alpha) + deviation @ deviation
        gradient = np.array([len(scaled) - fitted, *self._slopes(factor, alpha)])
        gradient[1:] *= [*scales.variances, scales.noise]
        hessian = self._curvature(scales, factor, alpha, scaled)
        hessian[0, 0] += fitted
        free = np.isclose(scales.logarithms, logarithms)  # at its bound a scale has no slope
        gradient, hessian = gradient * free, hessian * np.outer(free, free)
        return Point(
            loss=quadratic / 2 + log_volume,
            gradient=gradient + deviation / self._prior,
            hessian=hessian + np.diag(self._prior**-2),
            factor=factor,
            alpha=alpha,
        )

    def _solve(self, scales: Scales) -> tuple[Tensor, Tensor]:
        """Factorize ``K``: its lower Cholesky factor and ``K^-1 (y / g - mu)``."""
        K = self.fixed.clone()
        for v, R in zip(scales.variances, self.correlations, strict=True):
            K.add_(R, alpha=v)
        K.diagonal().add_(scales.noise)
        factor = cholesky(K)
        residual = (self.y / scales.unit - self.mean).unsqueeze(-1)
        return factor, torch.cholesky_solve(residual, factor).squeeze(-1)

    def _slopes(self, factor: Tensor, alpha: Tensor) -> list[float]:
        """Derivatives of the likelihood by each ``v_j`` and ``v_n``."""
        difference = torch.cholesky_inverse(factor).addr_(alpha, alpha, alpha=-1).flatten()
        slopes = self.correlations.view(len(self.correlations), -1) @ difference / 2
        return [*slopes.tolist(), float(difference[:: len(alpha) + 1].sum()) / 2]

    def _curvature(
        self, scales: Scales, factor: Tensor, alpha: Tensor, scaled: Tensor
    ) -> np.ndarray:
        """Second derivatives of the likelihood by the logarithms, but for a term of ``g``'s."""
        terms = [v * (R @ alpha) for v, R in zip(scales.variances, self.correlations, strict=True)]
        directions = torch.stack([scaled, *terms, scales.noise * alpha], dim=1)
        curvature = (directions.mT @ torch.cholesky_solve(directions, factor)).numpy()
        curvature[1:, 1:] /= 2
        return curvature

    @property
    def _prior(self) -> np.ndarray:
        variances = len(self.correlations) * [_VARIANCE_DEVIATION]
        return np.array([_UNIT_DEVIATION, *variances, _NOISE_DEVIATION])


def negative_log_likelihood(covariance: Tensor, residual: Tensor) -> Tensor:
    """Compute ``(r^T K^-1 r + log |K| + n log 2 pi) / 2``, differentiable end to end.

    Args:
        covariance: ``n x n``, the noise on its diagonal.
        residual: ``n``, outcomes minus their mean.
    """
    factor = cholesky(covariance)
    whitened = torch.linalg.solve_triangular(factor, residual.unsqueeze(-1), upper=False)
    quadratic = whitened.square().sum()
    log_determinant = 2 * factor.diagonal().log().sum()
    return (quadratic + log_determinant + len(residual) * np.log(2 * np.pi)) / 2
