"""Which columns of a feature vector hold what."""

from __future__ import annotations

import torch

from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.kernels import FeatureInputs


def test_blocks_lie_side_by_side() -> None:
    x = torch.arange(12.0).view(2, 6)
    blocks = Blocks.of_widths(3, 1, 2)
    assert x[:, blocks.latents].tolist() == [[0, 1, 2], [6, 7, 8]]
    assert x[:, blocks.structure].tolist() == [[3], [9]]
    assert x[:, blocks.predictions].tolist() == [[4, 5], [10, 11]]
    assert blocks.n_predictions == 2
    assert FeatureInputs(blocks).prior_mean(x.view(2, 1, 6)).tolist() == [[9], [21]]


def test_known_features_follow_the_structure() -> None:
    x = torch.arange(16.0).view(2, 8)
    alone = Blocks.of_widths(3, 2, known=2)
    assert x[:, alone.known].tolist() == [[5, 6], [13, 14]]
    assert alone.has_known and not Blocks.of_widths(3, 2, 1).has_known
    joint = alone.with_parameters(n_predictions=1, owners=(0, 1))
    assert joint == Blocks.of_widths(3, 2, 1, (0, 1), known=2)
    assert joint.predictions == slice(7, 8) and joint.parameters == slice(8, 10)


def test_without_a_past_the_prior_mean_is_zero() -> None:
    for blocks in (Blocks.of_widths(6), Blocks.of_widths(2, 4)):
        assert blocks.n_predictions == 0
        assert FeatureInputs(blocks).prior_mean(torch.ones(2, 6)).tolist() == [0, 0]


def test_predictions_of_several_metrics_lie_side_by_side() -> None:
    blocks = Blocks.of_widths(3, 1, 5, (0, 1)).with_metrics([2, 3])
    first, second = (blocks.of_metric(metric) for metric in (0, 1))
    assert (first.predictions, second.predictions) == (slice(4, 6), slice(6, 9))
    assert first.parameters == second.parameters == slice(9, 11)
    assert (first.n_predictions, second.n_predictions) == (2, 3)
    alone = Blocks.of_widths(3, 1, 5)
    assert alone.with_metrics([5]).of_metric(0) == alone
