"""Points of images, without or with a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import DatasetError
from tests.datasets.arrays import images
from tests.datasets.arrays import labels


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Dropout()]
    pooled = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, *pooled)


def test_a_network_sees_images_as_imagenets() -> None:
    """One channel each, and three: means of resized images, less ImageNet's."""
    flatten = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    data = np.stack([np.full((9, 7, 3), value, np.uint8) for value in (0, 255)])
    sample = DatasetSample.from_network(data, [0, 1], flatten, side=16)
    black, white = sample.points[sample.points[:, 0].argsort()]
    np.testing.assert_allclose(black, [-2.118, -2.036, -1.804], atol=1e-3)
    np.testing.assert_allclose(white, [2.249, 2.429, 2.640], atol=1e-3)


@pytest.mark.parametrize("shape", [(12, 12), (12, 12, 1), (20, 8, 3)])
def test_embeddings_do_not_depend_on_the_batch_nor_on_the_mode(shape: tuple[int, ...]) -> None:
    data, net = images(120, *shape), network()
    sample = DatasetSample.from_network(data, labels(120), net.train(), side=16)
    assert net.training
    assert sample.n_features == 4
    few = DatasetSample.from_network(data[:3], labels(3), net.eval(), side=16)
    assert not net.training
    for point in few.points:
        assert np.abs(sample.points - point).max(axis=1).min() < 1e-5


def test_a_network_whose_output_is_no_vector_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"shape \(9, 4, 14, 14\).*Flatten"):
        DatasetSample.from_network(images(9, 8, 8), labels(9), network()[:3], side=16)


def test_every_module_keeps_its_own_mode() -> None:
    """Frozen batch normalization, as in fine-tuning, must not train afterwards."""
    net = network().train()
    net[1].eval()
    before = [module.training for module in net.modules()]
    DatasetSample.from_network(images(8, 8, 8), labels(8), net, side=16)
    assert (
        [module.training for module in net.modules()] == before == [True, True, False, *[True] * 3]
    )


def test_modes_are_restored_when_the_network_raises() -> None:
    net = network().train()
    net[1].eval()
    net.append(torch.nn.Linear(7, 1))  # of another width
    before = [module.training for module in net.modules()]
    with pytest.raises(RuntimeError):
        DatasetSample.from_network(images(8, 8, 8), labels(8), net, side=16)
    assert [module.training for module in net.modules()] == before
