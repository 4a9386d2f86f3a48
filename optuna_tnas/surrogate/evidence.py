"""The marginal likelihood of a study's outcomes, and the scales that maximize it a posteriori.

With the outcomes ``y``, their prior mean ``mu`` and correlation matrices ``R_j``::

    y / g ~ N(mu, K),    K = fixed + sum_j v_j R_j + v_n I + V / g^2

``V`` is diagonal: variances of measurement that are known, in the outcomes' own unit.

One more correlation may depend on scales itself: ``R = matern(sum_d w_d delta_d^2)`` with the
relevance ``w_d`` of each parameter. The derivatives are written out: under ``fit_gpytorch_mll``,
rebuilding the kernel and its graph of gradients at every step would take most of a suggestion's
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property
import math

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.surrogate.kernels import matern
from optuna_tnas.surrogate.kernels import matern_slope
from optuna_tnas.surrogate.numerics import cholesky


MINIMUM_NOISE = 1e-4  # in units of the outcomes' variance

# Prior standard deviations of the logarithms: the outcomes' unit and the variances may move by an
# order of magnitude; noise may not explain what a residual could.
_UNIT_DEVIATION, _VARIANCE_DEVIATION, _NOISE_DEVIATION = 1.0, 1.5, 0.5
# Of a relevance, which is a lengthscale to the power of -2. The lengthscales' prior is that of
# Hvarfner et al., "Vanilla Bayesian optimization performs great in high dimensions" (ICML 2024).
_RELEVANCE_DEVIATION = 2 * 3**0.5
_LEARNED_DEVIATION = 1.0  # of a relevance that past studies' trials determined
_MAX_EVALUATIONS = 50
_LONGEST_STEP = 3.0
_LEAST_CURVATURE = 0.1
_LEAST_FALL = 0.1  # of what the slope alone promises (Armijo's rule)
# Relevances that the search begins with too, beside their medians: lengthscales of 1 and 0.3.
_FIRST_RELEVANCES = (1.0, 11.0)
# How far above its minimum the loss is, by a quadratic model, when the search ends: the scales
# are then known far better than so few trials determine them.
_TOLERANCE = 1e-3
_MAX_LOGARITHM = 9.0  # scales beyond are as good as 0 or infinite
_NO_PARAMETERS = torch.empty(0)


@dataclass(frozen=True)
class Scales:
    """The scales that are fitted to a study.

    Attributes:
        unit: ``g``, the outcomes' unit in that of the past's outcomes.
        variances: ``v_j`` of each correlation matrix.
        noise: ``v_n``.
        relevances: ``w_d`` of each parameter, if the last correlation depends on them.
        learned: Which medians of relevances are from past studies; none unless given.
    """

    unit: float
    variances: tuple[float, ...]
    noise: float
    relevances: tuple[float, ...] = ()
    learned: tuple[bool, ...] = ()

    @classmethod
    def of(cls, logarithms: np.ndarray, n_relevances: int = 0) -> Scales:
        """Read ``log g, log v_j, log w_d, log v_n``."""
        unit, *scales, noise = np.exp(logarithms).tolist()
        n = len(scales) - n_relevances
        return cls(unit, tuple(scales[:n]), noise, tuple(scales[n:]))

    @cached_property
    def logarithms(self) -> np.ndarray:
        """Inverse of :meth:`of`."""
        return np.log([self.unit, *self.variances, *self.relevances, self.noise])

    @cached_property
    def deviations(self) -> np.ndarray:
        """Prior standard deviations of the logarithms, these being the medians."""
        variances = len(self.variances) * [_VARIANCE_DEVIATION]
        learned = self.learned or len(self.relevances) * [False]
        relevances = [_LEARNED_DEVIATION if known else _RELEVANCE_DEVIATION for known in learned]
        return np.array([_UNIT_DEVIATION, *variances, *relevances, _NOISE_DEVIATION])

    def with_learned(self, relevances: Sequence[float]) -> Scales:
        """Take medians of relevances from past studies; NaN where these know nothing."""
        known = tuple(w == w for w in relevances)
        merged = zip(relevances, self.relevances, known, strict=True)
        medians = tuple(w if is_known else own for w, own, is_known in merged)
        return replace(self, relevances=medians, learned=known)


# Medians of the priors of the scales, in units of the past's scaled outcomes.
CENTER = Scales(unit=1.0, variances=(1.0, 1.0), noise=0.02)


def center_of(n_parameters: int, known: bool = False) -> Scales:
    """Medians of the priors of the scales.

    Args:
        n_parameters: How many parameters have a relevance of their own. The median of the
            lengthscales is ``exp(sqrt 2) sqrt D`` (Hvarfner et al., ICML 2024).
        known: Whether features known before training are correlated.
    """
    variances = (*CENTER.variances, *known * (1.0,))
    if n_parameters == 0:
        return replace(CENTER, variances=variances)
    relevances = n_parameters * (math.exp(-2 * math.sqrt(2)) / n_parameters,)
    return replace(CENTER, variances=(*variances, 1.0), relevances=relevances)


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

    def step(self, free: np.ndarray) -> np.ndarray:
        """Newton's step in the free directions; away from where the loss curves downward."""
        curvatures, axes = np.linalg.eigh(self.hessian[np.ix_(free, free)])
        slopes = axes.T @ self.gradient[free]
        step = np.zeros(len(free))
        step[free] = -axes @ (slopes / np.maximum(np.abs(curvatures), _LEAST_CURVATURE))
        return step


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
        differences: ``D x n x n``, the trials' squared differences in each parameter; D is 0
            where no correlation depends on relevances.
        known: ``n`` float64, the diagonal of ``V``; None where it is 0.
    """

    y: Tensor
    mean: Tensor
    fixed: Tensor
    correlations: Tensor
    center: Scales
    differences: Tensor = _NO_PARAMETERS
    known: Tensor | None = None

    def fit(self) -> Fit:
        """Find the most probable scales.

        With relevances the likelihood has several optima, among them one where nothing matters
        and all is noise; the best one from a few starts is taken.
        """
        starts = [replace(self.center, relevances=w) for w in self._first_relevances()]
        return max(map(self._fit_from, starts), key=lambda fit: fit.log_evidence)

    def _first_relevances(self) -> list[tuple[float, ...]]:
        n = len(self.differences)
        return [self.center.relevances, *(n * (w,) for w in _FIRST_RELEVANCES if n > 0)]

    def _fit_from(self, start: Scales) -> Fit:
        """Take Newton steps within the bounds, each halved until the loss falls as promised."""
        at, longest = start.logarithms.clip(*self._bounds), _LONGEST_STEP
        point = self.evaluate(at)
        for _ in range(_MAX_EVALUATIONS):
            step = point.step(self._free(at, point.gradient))
            if -step @ point.gradient / 2 < _TOLERANCE:
                break
            shortened = step * min(1.0, longest / np.linalg.norm(step))
            there = (at + shortened).clip(*self._bounds)
            tried = self.evaluate(there)
            if tried.loss < point.loss + _LEAST_FALL * (point.gradient @ (there - at)):
                at, point, longest = there, tried, 2 * longest
            else:
                longest = min(longest, float(np.linalg.norm(step))) / 2
        return Fit(self._scales(at), point.factor, point.alpha, -point.loss)

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest logarithms."""
        highest = np.full(len(self.center.logarithms), _MAX_LOGARITHM)
        lowest = -highest
        lowest[-1] = math.log(2 * MINIMUM_NOISE)
        return lowest, highest

    def _free(self, at: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Which logarithms may move against the gradient: bool."""
        lowest, highest = self._bounds
        return np.where(gradient > 0, at > lowest, at < highest)

    def evaluate(self, logarithms: np.ndarray) -> Point:
        """Compute minus the log posterior without its constants, and its derivatives.

        With ``a = K^-1 (y / g - mu)`` the likelihood's derivative by a scale of the covariance is
        ``tr((K^-1 - a a^T) dK) / 2`` (Rasmussen and Williams, 2006, equation 5.9), and the mean
        of its observed and expected second derivatives is ``a^T dK_i K^-1 dK_j a / 2``, without
        traces (Gilmour, Thompson and Cullis, "Average information REML", Biometrics 1995). By its
        logarithm a variance's slope is added; at the optimum that is minus the prior's.
        """
        scales = self._scales(logarithms)
        terms = self._terms(scales)
        factor, alpha = self._solve(scales, terms)
        scaled = self.y / scales.unit
        fitted = float(scaled @ alpha)
        deviations = self.center.deviations
        deviation = (logarithms - self.center.logarithms) / deviations
        log_volume = float(factor.diagonal().log().sum()) + len(scaled) * logarithms[0]
        quadratic = fitted - float(self.mean @ alpha) + deviation @ deviation
        along_diagonal, slopes = _slopes(factor, alpha, terms)
        by_unit, moved = float(len(scaled)) - fitted, scaled
        if self.known is not None:  # the unit is in the covariance too
            known = self.known / scales.unit**2
            by_unit -= 2 * float(along_diagonal @ known)
            moved = scaled - known * alpha
        by_noise = scales.noise * float(along_diagonal.sum())
        gradient = np.array([by_unit, *slopes, by_noise])
        directions = [moved, *(terms @ alpha), scales.noise * alpha]
        hessian = _curvature(factor, torch.stack(directions, dim=1))
        hessian[0, 0] += fitted
        return Point(
            loss=quadratic / 2 + log_volume,
            gradient=gradient + deviation / deviations,
            hessian=hessian + np.diag(deviations**-2 + self._variance_slopes(logarithms)),
            factor=factor,
            alpha=alpha,
        )

    def _variance_slopes(self, logarithms: np.ndarray) -> np.ndarray:
        """The likelihood's slopes at an optimum, where they are positive; 0 but for variances."""
        slopes = (self.center.logarithms - logarithms) / self.center.deviations**2
        n = len(self.differences)
        slopes[[0, *range(len(slopes) - 1 - n, len(slopes) - 1)]] = 0.0
        return np.maximum(slopes, 0.0)

    def _scales(self, logarithms: np.ndarray) -> Scales:
        return Scales.of(logarithms, len(self.differences))

    def _terms(self, scales: Scales) -> Tensor:
        """Derivatives of ``K`` by the logarithms of the variances and relevances: ``T x n x n``.

        The first ones, by the variances, are the covariances themselves.
        """
        variances = torch.tensor(scales.variances, dtype=self.y.dtype)[:, None, None]
        n_fixed = len(self.correlations)
        terms = variances[:n_fixed] * self.correlations
        if len(self.differences) == 0:
            return terms
        relevances = torch.tensor(scales.relevances, dtype=self.y.dtype)[:, None, None]
        weighted = relevances * self.differences
        distance = weighted.sum(dim=0)
        correlation = variances[n_fixed] * matern(distance)
        slope = variances[n_fixed] * matern_slope(distance)
        return torch.cat([terms, correlation.unsqueeze(0), slope * weighted])

    def _solve(self, scales: Scales, terms: Tensor) -> tuple[Tensor, Tensor]:
        """Factorize ``K``: its lower Cholesky factor and ``K^-1 (y / g - mu)``."""
        K = self.fixed + terms[: len(scales.variances)].sum(dim=0)
        K.diagonal().add_(scales.noise)
        if self.known is not None:
            K.diagonal().add_(self.known / scales.unit**2)
        factor = cholesky(K)
        residual = (self.y / scales.unit - self.mean).unsqueeze(-1)
        return factor, torch.cholesky_solve(residual, factor).squeeze(-1)


def _slopes(factor: Tensor, alpha: Tensor, terms: Tensor) -> tuple[Tensor, list[float]]:
    """Derivatives of the likelihood by the covariance.

    Returns:
        By each of its ``n`` diagonal elements, and along each of the ``T x n x n`` terms.
    """
    difference = torch.cholesky_inverse(factor).addr_(alpha, alpha, alpha=-1).flatten()
    slopes = terms.flatten(start_dim=1) @ difference / 2
    return difference[:: len(alpha) + 1] / 2, slopes.tolist()


def _curvature(factor: Tensor, directions: Tensor) -> np.ndarray:
    """Second derivatives of the likelihood by the logarithms, but for a term of ``g``'s."""
    curvature: np.ndarray = (directions.mT @ torch.cholesky_solve(directions, factor)).numpy()
    curvature[1:, 1:] /= 2
    return curvature


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
