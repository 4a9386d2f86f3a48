"""The deep kernel, and a sum of kernels that each read one block of a study's features."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from copy import copy
from typing import Any
from typing import Self

from gpytorch.kernels import Kernel
from linear_operator import LinearOperator
import torch
from torch import nn
from torch import Tensor

from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.parameters import differences


_MAX_CACHED = 1 << 19  # correlations, 4 MB
_PRECISION = torch.float32  # of sums over all trials of all past studies


class DeepKernel(Kernel):
    """``k(x, x') = k_base(g(x), g(x'))``, a base kernel on what a network makes of its inputs.

    Wilson et al., "Deep Kernel Learning" (AISTATS 2016); TNAS, equation for ``k(x, D, x', D')``.

    Args:
        network: Maps ``batch_shape x n x d`` to ``batch_shape x n x M``.
        base_kernel: A kernel on ``R^M``.
        active_dims: As in every gpytorch kernel.
    """

    has_lengthscale = False

    def __init__(self, network: nn.Module, base_kernel: Kernel, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # its batch shape is the base kernel's
        self.network = network
        self.base_kernel = base_kernel

    def forward(
        self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any
    ) -> Tensor | LinearOperator:
        """``... x n x d`` and ``... x m x d`` -> ``... x n x m``, or ``... x n`` if ``diag``."""
        encoded = self.encode(x1)
        other = encoded if x2 is x1 else self.encode(x2)
        return self.base_kernel.forward(encoded, other, diag=diag, **params)

    def __getitem__(self, index: Any) -> DeepKernel:
        """Take the kernel of a part of the batch, with the same network.

        Gpytorch's own works for kernels that have parameters themselves.
        """
        return DeepKernel(self.network, self.base_kernel[index], active_dims=self.active_dims)

    def encode(self, x: Tensor) -> Tensor:
        """Compute the base kernel's input, in the base kernel's precision."""
        encoded: Tensor = self.network(x)
        return encoded.to(next(self.base_kernel.parameters()).dtype)


class FeatureInputs:
    """A GP's inputs that are feature vectors themselves.

    Args:
        blocks: Columns of the features.
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def of_metric(self, metric: int) -> Self:
        """Read the predictions of the metric at this position."""
        twin = copy(self)
        twin.blocks = self.blocks.of_metric(metric)
        return twin

    def features(self, x: Tensor) -> Tensor:
        """``... x n x d`` -> ``... x n x d``."""
        return x

    @property
    def correlated(self) -> Sequence[tuple[slice, Callable[[Tensor], Tensor]]]:
        """Blocks that are correlated, each with its correlation of squared distances."""
        pairs = [(self.blocks.latents, matern), (self.blocks.structure, gaussian)]
        if self.blocks.has_known:
            pairs.append((self.blocks.known, matern))
        return pairs

    def correlations(self, x1: Tensor, x2: Tensor) -> Sequence[Tensor]:
        """Correlate latents, structure and known features, if there are some.

        ``... x n x d`` and ``... x m x d`` -> ``... x n x m`` each.
        """
        first, second = self.features(x1), self.features(x2)
        return [
            correlation(squared_distance(first[..., block], second[..., block]))
            for block, correlation in self.correlated
        ]

    def paired_correlations(self, x1: Tensor, x2: Tensor) -> Sequence[Tensor]:
        """Correlate row by row: ``... x n x d`` twice -> ``... x n`` each."""
        squared = (self.features(x1) - self.features(x2)).square()
        return [correlation(squared[..., b].sum(dim=-1)) for b, correlation in self.correlated]

    def predictions(self, x: Tensor) -> Tensor:
        """Take the past studies' predictions: ``... x n x d`` -> ``... x n x C``."""
        return self.features(x)[..., self.blocks.predictions]

    def prior_mean(self, x: Tensor) -> Tensor:
        """Add up the past studies' predictions: ``... x n x d`` -> ``... x n``."""
        return self.predictions(x).sum(dim=-1)

    def parameters(self, x: Tensor, relevances: Tensor) -> Tensor:
        """Scale the parameters' columns by their relevances: ``D`` -> ``... x n x C``."""
        scale = relevances.sqrt()[..., list(self.blocks.owners)]
        return self.features(x)[..., self.blocks.parameters] * scale

    def differences(self, x: Tensor) -> Tensor:
        """Square the differences in each parameter: ``n x d`` -> ``D x n x n``."""
        return differences(self.features(x)[:, self.blocks.parameters], self.blocks.owners)


class TransferKernel(Kernel):
    """``c + s sum_q mu_q(x) mu_q(x') + sum_j v_j R_j(x, x')``.

    ``c`` and ``s`` are the prior variances of a constant mean and of the weight of each of the
    past studies' predictions ``mu_q``; ``R_1`` reads the latents, ``R_2`` the structure and
    ``R_3`` the features known before training, if there are some. One more is there where
    hyper-parameters are searched too: a Matern kernel of all parameters, each with a relevance of
    its own.

    Args:
        inputs: Reads the kernel's inputs.
        variances: ``v_j``.
        mean_variance: ``c``.
        weight_variance: ``s``.
        relevances: Of each parameter in the last ``R_j``, lengthscales to the power of -2; none
            without it.
    """

    has_lengthscale = False

    def __init__(
        self,
        inputs: FeatureInputs,
        variances: Sequence[float],
        mean_variance: float,
        weight_variance: float,
        relevances: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._inputs = inputs
        self._relevances = torch.tensor(relevances).double()
        self._mean_variance, self._weight_variance = mean_variance, weight_variance
        shape = torch.Size([*self.batch_shape, len(variances)])
        self.variances = nn.Parameter(torch.tensor(variances).expand(shape), requires_grad=False)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """``... x n x d`` and ``... x m x d`` -> ``... x n x m``, or ``... x n`` if ``diag``."""
        covariance = self.fixed(x1, x2, diag)
        correlations = self._correlations(x1, x2, diag)
        for v, R in zip(self.variances.unbind(-1), correlations, strict=True):
            covariance = covariance.addcmul(v.unsqueeze(-1) if diag else v[..., None, None], R)
        return covariance

    def _correlations(self, x1: Tensor, x2: Tensor, diag: bool) -> Sequence[Tensor]:
        if diag and x1 is x2:
            return self.variances.shape[-1] * [x1.new_ones(x1.shape[:-1])]
        if diag:
            return [*self._inputs.paired_correlations(x1, x2), *self._of_parameters(x1, x2, diag)]
        return [*self._inputs.correlations(x1, x2), *self._of_parameters(x1, x2, diag)]

    def _of_parameters(self, x1: Tensor, x2: Tensor, diag: bool) -> list[Tensor]:
        """The correlation of all parameters, if it is there."""
        if len(self._relevances) == 0:
            return []
        first, second = (self._inputs.parameters(x, self._relevances) for x in (x1, x2))
        if diag:
            return [matern((first - second).square().sum(dim=-1))]
        return [matern(squared_distance(first, second))]

    def fixed(self, x1: Tensor, x2: Tensor, diag: bool = False) -> Tensor:
        """Compute the part that has no scale to fit: ``... x n x m``, or ``... x n``."""
        mine, other = self._inputs.predictions(x1), self._inputs.predictions(x2)
        products = (mine * other).sum(dim=-1) if diag else mine @ other.mT
        return products.mul_(self._weight_variance).add_(self._mean_variance)

    def weighted_sum(self, alpha: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        """Compute ``alpha^T k(x1, x2)`` without the ``n x m`` covariance: ``n`` -> ``m``."""
        mine, other = self._inputs.predictions(x1), self._inputs.predictions(x2)
        past = other @ (self._weight_variance * (alpha @ mine))
        total = past + self._mean_variance * alpha.sum()
        for v, R in zip(self.variances, self._correlations(x1, x2, diag=False), strict=True):
            total += (v * alpha) @ R
        return total


def squared_distance(x1: Tensor, x2: Tensor) -> Tensor:
    """Squared Euclidean distances: ``... x n x d``, ``... x m x d`` -> ``... x n x m``."""
    left, right = _factors(x1, x2)
    return (left @ right.mT).clamp_min_(0)


def _factors(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """Write ``|a|^2 + |b|^2 - 2 a b`` as one product: ``... x n x (d + 2)``, ``... x m x ...``."""
    first = x1.square().sum(dim=-1, keepdim=True)
    second = x2.square().sum(dim=-1, keepdim=True)
    left = torch.cat([-2 * x1, first, torch.ones_like(first)], dim=-1)
    return left, torch.cat([x2, torch.ones_like(second), second], dim=-1)


def weighted_correlations(
    correlation: Callable[[Tensor], Tensor], x1: Tensor, x2: Tensor, weights: Tensor
) -> Tensor:
    """Compute ``R(x1, x2) weights`` by parts of ``R`` that stay in the processor's cache.

    In single precision, which is faster, of differences to the middle of ``x2``.

    Args:
        correlation: Of squared distances.
        x1: ``n x d``.
        x2: ``m x d``.
        weights: ``m x W``.

    Returns:
        ``n x W`` float64, with errors of about 1e-7 times the sum of the weights' magnitudes and
        the squared norms of the differences.
    """
    center = x2.mean(dim=0)
    left, right = _factors((x1 - center).to(_PRECISION), (x2 - center).to(_PRECISION))
    weights = weights.to(_PRECISION)
    parts = left.split(max(1, _MAX_CACHED // max(1, len(x2))))
    sums = [correlation((rows @ right.mT).clamp_min_(0)) @ weights for rows in parts]
    return torch.cat(sums).double()


def matern(squared: Tensor) -> Tensor:
    """Matern 5/2 with lengthscale 1, of squared distances."""
    a = (5 * squared).sqrt_()
    polynomial = (a / 3).add_(1).mul_(a).add_(1)  # 1 + a + a^2 / 3
    return polynomial.mul_(a.neg_().exp_())


def matern_slope(squared: Tensor) -> Tensor:
    """Derivative of :func:`matern` by the squared distance."""
    a = (5 * squared).sqrt_()
    return (a + 1).mul_(a.neg_().exp_()).mul_(-5 / 6)


def gaussian(squared: Tensor) -> Tensor:
    """Squared exponential with lengthscale 1, of squared distances."""
    return (squared / -2).exp_()
