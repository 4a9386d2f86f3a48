"""phi against a slow computation class by class, and what its encoding may depend on."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from optuna_tnas.encoders import DatasetEncoder
from optuna_tnas.encoders.dataset import AttentionBlock
from optuna_tnas.encoders.dataset import SetEncoder


N_FEATURES = 5


@pytest.fixture
def encoder() -> DatasetEncoder:
    torch.manual_seed(0)
    encoder = DatasetEncoder(N_FEATURES, width=8, heads=2, dim=3).double()
    encoder.feature_mean.copy_(torch.randn(N_FEATURES))
    encoder.feature_scale.copy_(torch.rand(N_FEATURES) + 0.5)
    return encoder.requires_grad_(False)


def points(n_classes: int, n_points: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (n_classes, n_points, N_FEATURES)
    return torch.randn(shape, generator=generator, dtype=torch.double)


def everything(p: Tensor) -> Tensor:
    return torch.ones(p.shape[:2], dtype=torch.bool)


def slow_block(block: AttentionBlock, queries: Tensor, keys: Tensor) -> Tensor:
    """One set without padding, ``Q x width`` and ``N x width``, head by head."""
    attention = block.attention
    (w_q, w_k, w_v), (b_q, b_k, b_v) = (
        attention.in_proj_weight.chunk(3),
        attention.in_proj_bias.chunk(3),
    )
    q, k, v = queries @ w_q.T + b_q, keys @ w_k.T + b_k, keys @ w_v.T + b_v
    size = q.shape[1] // attention.num_heads
    heads = []
    for start in range(0, q.shape[1], size):
        part = slice(start, start + size)
        scores = (q[:, part] @ k[:, part].T / sqrt(size)).exp()
        heads.append(scores / scores.sum(dim=1, keepdim=True) @ v[:, part])
    attended = torch.cat(heads, dim=1) @ attention.out_proj.weight.T + attention.out_proj.bias
    hidden = queries + attended
    return hidden + (hidden @ block.linear.weight.T + block.linear.bias).clamp(min=0)


def slow_set(encoder: SetEncoder, members: Tensor) -> Tensor:
    """``N x F`` -> ``dim``."""
    hidden = members @ encoder.embed.weight.T + encoder.embed.bias
    for block in encoder.blocks:
        hidden = slow_block(block, hidden, hidden)
    pooled = slow_block(encoder.pool, encoder.seed[0], hidden)[0]
    return encoder.out.weight @ pooled + encoder.out.bias


def slow_encoding(encoder: DatasetEncoder, classes: list[Tensor]) -> Tensor:
    standardized = [(c - encoder.feature_mean) / encoder.feature_scale for c in classes]
    vectors = torch.stack([slow_set(encoder.within_class, c) for c in standardized])
    return slow_set(encoder.across_classes, vectors)


@pytest.mark.parametrize(("n_classes", "n_points"), [(1, 1), (1, 7), (2, 1), (3, 4), (40, 30)])
def test_equals_attention_set_by_set(
    encoder: DatasetEncoder, n_classes: int, n_points: int
) -> None:
    p = points(n_classes, n_points)
    torch.testing.assert_close(encoder(p, everything(p)), slow_encoding(encoder, list(p)))


def test_classes_of_different_size_equal_attention_set_by_set(encoder: DatasetEncoder) -> None:
    p, present = points(4, 6), everything(points(4, 6))
    sizes = [6, 1, 3, 5]
    for c, size in enumerate(sizes):
        present[c, size:] = False
    classes = [p[c, :size] for c, size in enumerate(sizes)]
    torch.testing.assert_close(encoder(p, present), slow_encoding(encoder, classes))


def test_data_sets_of_different_size_are_encoded_together_as_each_by_itself(
    encoder: DatasetEncoder,
) -> None:
    sets = [points(*shape, seed=s) for s, shape in enumerate([(4, 6), (1, 2), (7, 1), (2, 9)])]
    present = [everything(p) for p in sets]
    present[0][2, 3:] = False
    expected = torch.stack([encoder(p, there) for p, there in zip(sets, present, strict=True)])
    torch.testing.assert_close(encoder.together(sets, present), expected)


def test_what_is_not_present_is_not_read(encoder: DatasetEncoder) -> None:
    p, present = points(3, 6), torch.rand(3, 6, generator=torch.Generator().manual_seed(0)) < 0.6
    present[:, 0] = True
    assert not present.all()
    other = torch.where(present[..., None], p, 1e6)
    torch.testing.assert_close(encoder(other, present), encoder(p, present))
    moved = torch.where(present[..., None], p + 0.1, p)
    assert not torch.allclose(encoder(moved, present), encoder(p, present))


def test_does_not_depend_on_the_order_of_points(encoder: DatasetEncoder) -> None:
    p, present = points(3, 6), everything(points(3, 6))
    present[1, 4:] = False
    rng = np.random.default_rng(0)
    orders = [torch.from_numpy(rng.permutation(6)) for _ in range(3)]
    shuffled = torch.stack([p[c, order] for c, order in enumerate(orders)])
    shuffled_present = torch.stack([present[c, order] for c, order in enumerate(orders)])
    torch.testing.assert_close(encoder(shuffled, shuffled_present), encoder(p, present))


def test_does_not_depend_on_the_order_of_classes(encoder: DatasetEncoder) -> None:
    p = points(7, 4)
    order = torch.tensor([3, 6, 0, 1, 5, 2, 4])
    torch.testing.assert_close(encoder(p[order], everything(p)), encoder(p, everything(p)))


def test_depends_on_which_points_form_a_class(encoder: DatasetEncoder) -> None:
    p = points(4, 3)
    regrouped = p.transpose(0, 1).reshape(4, 3, N_FEATURES)
    assert not torch.allclose(encoder(regrouped, everything(p)), encoder(p, everything(p)))


def test_gradients_reach_every_parameter_but_unknown(encoder: DatasetEncoder) -> None:
    encoder.requires_grad_(True)
    p = points(4, 6)
    encoder(p, everything(p)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        if name == "unknown":
            continue
        assert parameter.grad is not None, name
        if "in_proj_bias" in name:  # a constant added to all keys cancels in the softmax
            assert (parameter.grad.chunk(3)[0].abs() > 0).all(), name
        else:
            assert parameter.grad.abs().sum() > 0, name


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(AssertionError):
        DatasetEncoder(N_FEATURES, width=6, heads=4, dim=3)


def test_sets_go_through_two_blocks_as_in_the_paper(encoder: DatasetEncoder) -> None:
    assert [len(s.blocks) for s in (encoder.within_class, encoder.across_classes)] == [2, 2]
