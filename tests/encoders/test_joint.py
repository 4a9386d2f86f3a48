from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from optuna_tnas.encoders import JointEncoder


@pytest.mark.parametrize("layers", [(3,), (7, 3), (99, 50, 179, 194)])
def test_widths_follow_the_layers(layers: Sequence[int]) -> None:
    xi = JointEncoder(5, layers)
    linear = [m for m in xi if isinstance(m, torch.nn.Linear)]
    assert [m.in_features for m in linear] == [5, *layers[:-1]]
    assert [m.out_features for m in linear] == list(layers)
    assert xi(torch.zeros(2, 4, 5)).shape == (2, 4, layers[-1])


def test_equals_matrix_products_with_relu_between() -> None:
    torch.manual_seed(0)
    xi = JointEncoder(4, (8, 6, 5))
    linear = [m for m in xi if isinstance(m, torch.nn.Linear)]
    x = torch.randn(10, 4)
    h = x
    for i, layer in enumerate(linear):
        h = h @ layer.weight.T + layer.bias
        if i < len(linear) - 1:
            h = h.clamp(min=0)
    torch.testing.assert_close(xi(x), h)
    assert (h < 0).any()  # no ReLU after the last layer


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    xi = JointEncoder(4, (8, 6, 5))
    xi(torch.randn(10, 4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in xi.parameters())
