"""xi: architecture and data-set encodings as one vector, the kernel's input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


class JointEncoder(nn.Sequential):
    """A fully connected network ``R^{L+K} -> R^M`` with ReLU between its layers.

    Args:
        n_inputs: L + K.
        layers: Widths of the layers, the last one M.
    """

    def __init__(self, n_inputs: int, layers: Sequence[int]) -> None:
        widths = [n_inputs, *layers]
        modules: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            modules += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        super().__init__(*modules[:-1])
