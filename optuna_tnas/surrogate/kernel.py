"""The deep kernel ``k(x, x') = k_base(g(x), g(x'))``.

Wilson et al., "Deep Kernel Learning" (AISTATS 2016); TNAS, equation for ``k(x, D, x', D')``.
"""

from __future__ import annotations

from typing import Any

from gpytorch.kernels import Kernel
from linear_operator import LinearOperator
from torch import nn
from torch import Tensor


class DeepKernel(Kernel):
    """A base kernel on what a network makes of its inputs.

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
