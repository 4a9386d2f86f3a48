"""What a study's GP reads: each block against the encoder that it comes from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from optuna_tnas.config import Config
from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.errors import DatasetError
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.features import FeatureMap
from optuna_tnas.surrogate.features import LatentMap
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.past import PastStudies


@pytest.fixture
def surrogate(space: Space, config: Config, task_of: Callable[..., Task]) -> MetaSurrogate:
    surrogate = MetaSurrogate(space, config, n_features=5)
    studies = [(task.X, task.y, task.dataset) for task in (task_of(0), task_of(1))]
    surrogate.past = PastStudies.fit(surrogate.network, surrogate.structure, studies)
    return surrogate


def test_blocks_hold_latents_structure_and_the_prediction(
    surrogate: MetaSurrogate, dataset_of: Callable[[int, float], DatasetSample]
) -> None:
    X, network, past = surrogate.space.enumerate(), surrogate.network, surrogate.predictor
    assert past is not None
    for sample in (None, dataset_of(0, 1.0)):
        features = FeatureMap(network, surrogate.structure, past, sample)
        x, blocks = features(X), features.blocks
        latents = LatentMap(network, sample)(X) / network.hyperparameters.lengthscale
        torch.testing.assert_close(x[:, blocks.latents], latents)
        torch.testing.assert_close(x[:, blocks.structure], surrogate.structure(X))
        weighted = past(X) @ past.relevance(sample)
        torch.testing.assert_close(x[:, blocks.prior_mean].flatten(), weighted)
        assert x.dtype == torch.double
        assert x.shape[1] == blocks.prior_mean.stop


def test_known_features_have_a_block(surrogate: MetaSurrogate) -> None:
    X, predictor = surrogate.space.enumerate(), surrogate.predictor
    known = surrogate.known_features(
        lambda p: {"a": str(p).count("a"), "b": -len(str(p)), "c": 1.0}
    )
    plain, told = (
        FeatureMap(surrogate.network, surrogate.structure, predictor, None, k)
        for k in (None, known)
    )
    x, blocks = told(X), told.blocks
    torch.testing.assert_close(x[:, blocks.known], known(X) * (0.3 / 2) ** 0.5)
    others = torch.cat([x[:, : blocks.known.start], x[:, blocks.known.stop :]], dim=1)
    assert torch.equal(others, plain(X))


def test_without_a_past_nothing_is_predicted(surrogate: MetaSurrogate) -> None:
    X = surrogate.space.enumerate()
    features = FeatureMap(surrogate.network, surrogate.structure, None, None)
    assert features(X).shape == (len(X), features.blocks.structure.stop)
    assert not features.blocks.has_past


def test_latents_depend_on_the_data_set_and_repeat(
    surrogate: MetaSurrogate, dataset_of: Callable[[int, float], DatasetSample]
) -> None:
    X = surrogate.space.sample(5, np.random.default_rng(0))
    first, again, other, unknown = (
        LatentMap(surrogate.network, sample)(X)
        for sample in (dataset_of(0, 1.0), dataset_of(0, 1.0), dataset_of(1, 1.0), None)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, unknown)


def test_another_width_of_points_is_refused(surrogate: MetaSurrogate) -> None:
    wide = DatasetSample.from_features(np.random.default_rng(0).random((9, 7)), np.arange(9) % 3)
    with pytest.raises(DatasetError, match=r"7 features.* 5"):
        LatentMap(surrogate.network, wide)
    with pytest.raises(DatasetError, match=r"7 features.* 5"):
        surrogate.study_model(wide)
