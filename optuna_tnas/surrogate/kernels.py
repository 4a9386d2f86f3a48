"""The deep kernel, and the default GP's kernel on what the deep kernel's network gives."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from gpytorch.kernels import Kernel
from linear_operator import LinearOperator
import torch
from torch import nn
from torch import Tensor


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
        """The kernel of a part of the batch, with the same network.

        Gpytorch's own works for kernels that have parameters themselves.
        """
        return DeepKernel(self.network, self.base_kernel[index], active_dims=self.active_dims)

    def encode(self, x: Tensor) -> Tensor:
        """The base kernel's input, in the base kernel's precision."""
        encoded: Tensor = self.network(x)
        return encoded.to(next(self.base_kernel.parameters()).dtype)


_MEAN_VARIANCE = 100.0  # of a study's mean, which is anything

_MAX_REMEMBERED = 1 << 24  # pairs of a trial and a candidate, 16 bytes each


class Remembered:
    """The correlations of a search's trials with all candidates, which never change.

    A trial's row is computed by itself, so that it is the same in a search that was resumed.

    Args:
        candidates: ``N x d`` inputs.
        n_latents: As for :class:`TransferKernel`.
        n_studies: As for it.
    """

    def __init__(self, candidates: Tensor, n_latents: int, n_studies: int) -> None:
        self._candidates = candidates
        self._parts = (n_latents, n_studies)
        self._places: dict[bytes, int] = {}  # of a trial's input among the rows
        self._rows = candidates.new_empty(2, 0, len(candidates))
        self._asked = candidates[:0]  # all trials of the last question, and its 2 x n x N
        self._R = self._rows
        self._capacity = _MAX_REMEMBERED // max(1, len(candidates))

    def covers(self, x: Tensor, run: Tensor) -> bool:
        """Whether ``x`` are not too many and ``run`` is a run of candidates in the same memory."""
        storages = [t.untyped_storage().data_ptr() for t in (run, self._candidates)]
        return storages[0] == storages[1] and x.ndim == run.ndim == 2 and len(x) <= self._capacity

    def correlations(self, x: Tensor, run: Tensor) -> tuple[Tensor, Tensor]:
        """``R_1`` and ``R_2`` of ``n x d`` inputs and ``m`` candidates: ``n x m``."""
        if not torch.equal(x, self._asked):
            self._asked, self._R = x, self._all(x)
        first = run.storage_offset() // run.shape[1]
        deep, structure = self._R[..., first : first + len(run)]
        return deep, structure

    def _all(self, x: Tensor) -> Tensor:
        """``2 x n x N``, without a copy where a search just goes on."""
        if len(self._places) + len(x) > self._capacity:
            self._places.clear()
        places = [self._place(input_) for input_ in x]
        if places == list(range(len(x))):
            return self._rows[:, : len(x)]
        return self._rows[:, places]

    def _place(self, input_: Tensor) -> int:
        key = input_.numpy().tobytes()
        if key not in self._places:
            place = len(self._places)
            if place == self._rows.shape[1]:
                more = self._rows.new_empty(2, place + 16, len(self._candidates))
                self._rows = torch.cat([self._rows, more], dim=1)
            both = _correlations(input_, self._candidates, self._parts, _paired_distance)
            self._rows[:, place] = torch.stack(both)
            self._places[key] = place
        return self._places[key]


class TransferKernel(Kernel):
    """``fixed + v_1 R_1 + v_2 R_2`` of inputs that are latents, structure and predictions.

    Args:
        n_latents: How many of an input's first columns are latents.
        variances: ``v_1, v_2``, of every kernel of a batch.
        n_studies: How many of its last columns are the past studies' predictions; the structure
            is between.
        remembered: Correlations with candidates that are asked about again and again.
        weight_variance: Prior variance of the weight of the past as a whole.
    """

    has_lengthscale = False

    def __init__(
        self,
        n_latents: int,
        variances: Sequence[float],
        n_studies: int = 0,
        remembered: Remembered | None = None,
        weight_variance: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._parts = (n_latents, n_studies)
        self._remembered = remembered
        self._weight_variance = weight_variance
        shape = torch.Size([*self.batch_shape, len(variances)])
        self.variances = nn.Parameter(torch.tensor(variances).expand(shape), requires_grad=False)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """``... x n x d`` and ``... x m x d`` -> ``... x n x m``, or ``... x n`` if ``diag``."""
        covariance = self.fixed(x1, x2, diag)
        for v, R in zip(self.variances.unbind(-1), self.correlations(x1, x2, diag), strict=True):
            covariance = covariance.addcmul(v.unsqueeze(-1) if diag else v[..., None, None], R)
        return covariance

    def correlations(self, x1: Tensor, x2: Tensor, diag: bool = False) -> tuple[Tensor, Tensor]:
        """``R_1`` and ``R_2``: ``... x n x m``, or ``... x n``."""
        if diag and x1 is x2:
            ones = x1.new_ones(x1.shape[:-1])
            return ones, ones
        if diag:
            return _correlations(x1, x2, self._parts, _paired_distance)
        if self._remembered is not None and self._remembered.covers(x1, x2):
            return self._remembered.correlations(x1, x2)
        return _correlations(x1, x2, self._parts)

    def fixed(self, x1: Tensor, x2: Tensor, diag: bool = False) -> Tensor:
        """What has no scale to fit: ``... x n x m``, or ``... x n``."""
        mine, other = (predictions(x, self._parts[1]).sum(dim=-1) for x in (x1, x2))
        if not diag:
            mine, other = mine.unsqueeze(-1), other.unsqueeze(-2)
        return torch.add((self._weight_variance * mine) * other, _MEAN_VARIANCE)


def predictions(inputs: Tensor, n_studies: int) -> Tensor:
    """Those of the past studies among the inputs' columns: ``... x Q``."""
    return inputs[..., inputs.shape[-1] - n_studies :]


def _correlations(
    x1: Tensor,
    x2: Tensor,
    parts: tuple[int, int],
    distance: Callable[[Tensor, Tensor], Tensor] = torch.cdist,
) -> tuple[Tensor, Tensor]:
    n_latents, end = parts[0], x1.shape[-1] - parts[1]
    deep = matern(distance(x1[..., :n_latents], x2[..., :n_latents]))
    return deep, _gaussian(distance(x1[..., n_latents:end], x2[..., n_latents:end]))


def _paired_distance(x1: Tensor, x2: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(x1 - x2, dim=-1)
    return distance


def matern(distance: Tensor) -> Tensor:
    """Matern 5/2 with lengthscale 1."""
    a = 5**0.5 * distance
    return (1 + a + a.square() / 3) * torch.exp(-a)


def _gaussian(distance: Tensor) -> Tensor:
    """With lengthscale 1."""
    return torch.exp(-distance.square() / 2)
