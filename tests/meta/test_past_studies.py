"""What a history predicts on a new task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from optuna_tnas.config import Config
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.meta.training import meta_train
from optuna_tnas.meta.training import past_studies
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate import kernels
from optuna_tnas.surrogate import past
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.past import PastPredictor


CONV = 2


def prediction(surrogate: MetaSurrogate, dataset: DatasetSample | None = None) -> np.ndarray:
    features = surrogate.study_model(dataset).features
    return features(surrogate.space.enumerate())[:, features.blocks.predictions].sum(dim=1).numpy()


def learn(surrogate: MetaSurrogate, *tasks: Task) -> None:
    """Replace the past studies."""
    surrogate.past = past_studies(surrogate, MetaDataset(surrogate.space, tasks))
    vars(surrogate).pop("predictor", None)


def predictor(surrogate: MetaSurrogate) -> PastPredictor:
    assert surrogate.predictor is not None
    return surrogate.predictor


def rank_correlation(surrogate: MetaSurrogate, dataset: DatasetSample | None = None) -> float:
    """Of the prediction with the number of convolutions."""
    convolutions = (surrogate.space.enumerate() == CONV).sum(axis=1)
    return float(np.corrcoef(prediction(surrogate, dataset), convolutions)[0, 1])


@pytest.fixture(scope="module")
def history(space: Space, task_of: Callable[..., Task]) -> MetaDataset:
    return MetaDataset(space, tuple(task_of(seed) for seed in range(6)))


@pytest.fixture
def surrogate(space: Space, config: Config) -> MetaSurrogate:
    return MetaSurrogate(space, config, n_features=5)


def test_even_random_weights_predict_what_all_tasks_agree_on(
    surrogate: MetaSurrogate, history: MetaDataset
) -> None:
    learn(surrogate, *history.tasks)
    assert rank_correlation(surrogate) > 0.8


def test_training_leaves_a_prediction_in_the_default_only(
    config: Config, history: MetaDataset
) -> None:
    assert rank_correlation(meta_train(history, config=config)) > 0.8
    published = meta_train(history, config=replace(config, gp="paper", outer_steps=2))
    assert published.past is None
    features = published.study_model(None).features(history.tasks[0].X)
    assert features.shape[1] == published.config.joint_layers[-1]


def test_tasks_that_contradict_each_other_predict_little(
    surrogate: MetaSurrogate, space: Space, task_of: Callable[..., Task]
) -> None:
    both = tuple(task_of(seed, sign) for seed in range(3) for sign in (1.0, -1.0))
    learn(surrogate, *both)
    mixed = prediction(surrogate)
    learn(surrogate, *both[::2])
    assert mixed.std() < prediction(surrogate).std() / 2


def test_a_known_data_set_says_which_tasks_to_believe(
    space: Space,
    config: Config,
    task_of: Callable[..., Task],
    dataset_of: Callable[[int, float], DatasetSample],
) -> None:
    tasks = [
        task_of(seed, sign, dataset_of(seed, sign)) for seed in range(5) for sign in (1.0, -1.0)
    ]
    config = replace(config, outer_steps=60)
    surrogate = meta_train(MetaDataset(space, tuple(tasks)), config=config)
    positive, negative = (rank_correlation(surrogate, dataset_of(9, sign)) for sign in (1, -1))
    assert positive > 0.3
    assert negative < -0.3


@pytest.fixture
def known(
    task_of: Callable[..., Task], dataset_of: Callable[[int, float], DatasetSample]
) -> list[Task]:
    return [task_of(seed, 1.0, dataset_of(seed, 1.0)) for seed in range(3)]


@pytest.fixture
def informed(
    surrogate: MetaSurrogate, space: Space, task_of: Callable[..., Task], known: list[Task]
) -> MetaSurrogate:
    """Three past studies on known data sets, and one on an unknown one."""
    learn(surrogate, *known, task_of(3))
    return surrogate


def test_prediction_weighs_the_studies_by_relevance(
    informed: MetaSurrogate,
    dataset_of: Callable[[int, float], DatasetSample],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "_PRECISION", torch.float64)
    X = informed.space.enumerate()
    for sample in (None, dataset_of(1, 1.0), dataset_of(9, -1.0)):
        expected = predictor(informed)(X) @ predictor(informed).relevance(sample)
        np.testing.assert_allclose(prediction(informed, sample), expected)


def test_relevance_is_highest_for_the_same_data_set(
    informed: MetaSurrogate, dataset_of: Callable[[int, float], DatasetSample]
) -> None:
    for q in range(3):
        relevance = predictor(informed).relevance(dataset_of(q, 1.0))
        assert relevance.argmax() == q
        assert relevance.sum().item() == pytest.approx(1)
    assert predictor(informed).relevance(None).argmax() == 3


def test_all_studies_count_alike_where_nothing_is_known_of_unknown_data_sets(
    informed: MetaSurrogate, space: Space, task_of: Callable[..., Task], known: list[Task]
) -> None:
    learn(informed, *known)
    np.testing.assert_allclose(predictor(informed).relevance(None), [1 / 3] * 3)
    learn(informed, task_of(3), task_of(4))
    np.testing.assert_allclose(predictor(informed).relevance(None), [1 / 2] * 2)


def test_all_studies_count_alike_for_a_data_set_like_none(
    informed: MetaSurrogate, dataset_of: Callable[[int, float], DatasetSample]
) -> None:
    informed.network.kernel.base_kernel.base_kernel.lengthscale = 1e-6  # nothing is alike
    np.testing.assert_allclose(predictor(informed).relevance(dataset_of(9, 1.0)), [0.25] * 4)
    assert np.isfinite(prediction(informed, dataset_of(9, 1.0))).all()


def test_each_study_is_asked_at_its_own_data_set(
    informed: MetaSurrogate, space: Space, task_of: Callable[..., Task]
) -> None:
    """What one study predicts is the same, whatever the others are."""
    X = space.enumerate()
    together = predictor(informed)(X)[:, 3]
    learn(informed, task_of(3))
    np.testing.assert_allclose(predictor(informed)(X)[:, 0], together, atol=1e-6)


def test_very_long_studies_are_thinned(
    surrogate: MetaSurrogate, history: MetaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "MAX_TRIALS", 10)
    found = past_studies(surrogate, history)
    assert np.bincount(found.study_index).tolist() == 6 * [10]
    assert found.X.shape == (60, 3)
    assert found.alpha.shape == (2, 60)
    assert found.alpha.dtype == torch.double


def test_a_study_of_equal_values_counts_but_predicts_nothing(
    surrogate: MetaSurrogate, space: Space
) -> None:
    X = space.sample(10, np.random.default_rng(0))
    history = MetaDataset(space, (Task("a", X, np.full(10, 0.5)),))
    learn(surrogate, *history.tasks)
    assert not prediction(surrogate).any()
