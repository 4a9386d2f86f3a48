"""The surrogate as a whole: its copies, its plain data, and the spaces that it refuses."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from copy import copy
from copy import deepcopy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from optuna_tnas.config import Config
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.paper import PaperModel
from optuna_tnas.surrogate.past import PastStudies
from optuna_tnas.surrogate.transfer import TransferModel


@pytest.fixture(scope="module")
def surrogate(surrogate_of: Callable[[str], MetaSurrogate]) -> MetaSurrogate:
    return surrogate_of("nasbench201")


def features(surrogate: MetaSurrogate, X: np.ndarray) -> torch.Tensor:
    return surrogate.study_model(None).features(X)


def test_renamed_keeps_everything_but_names(surrogate: MetaSurrogate) -> None:
    names = [f"edge_{i}" for i in range(6)]
    twin = surrogate.renamed(NASBench201Space(names=names))
    X = surrogate.space.sample(5, np.random.default_rng(0))
    assert torch.equal(features(twin, X), features(surrogate, X))
    assert list(twin.space.distributions()) == names
    assert next(iter(surrogate.space.distributions())) == "op_0_1"


def test_another_space_is_refused_with_the_difference(surrogate: MetaSurrogate) -> None:
    other = CellSpace.on_edges(4, ("none", "skip_connect"), zero=["none"])
    with pytest.raises(SpaceError, match=r"op_0_1.*nor_conv_3x3.*skip_connect"):
        surrogate.renamed(other)


def test_summary_is_plain_data(surrogate: MetaSurrogate) -> None:
    import json

    summary = json.loads(json.dumps(surrogate.summary()))
    assert summary["space"]["size"] == 15625
    assert summary["weights"] == sum(p.numel() for p in surrogate.network.parameters())
    assert set(summary["hyper-parameters"]) == {"mean", "outputscale", "lengthscale", "noise"}


@pytest.fixture
def experienced(space: Space, config: Config, task_of: Callable[..., Task]) -> MetaSurrogate:
    """Random weights, two past studies and a warm start."""
    surrogate = MetaSurrogate(space, config, n_features=5)
    surrogate.past = past_of(surrogate, [task_of(0), task_of(1)])
    surrogate.warm_starts = (space.sample(6, np.random.default_rng(0)),)
    return surrogate


def past_of(surrogate: MetaSurrogate, tasks: Sequence[Task]) -> PastStudies:
    studies = [(task.X, task.y, task.dataset) for task in tasks]
    return PastStudies.fit(surrogate.network, surrogate.structure, studies)


def test_a_restricted_surrogate_describes_architectures_as_the_whole_one_does(
    experienced: MetaSurrogate,
) -> None:
    known = np.unique(experienced.warm_starts[0], axis=0)
    experienced.warm_starts = (known,)
    X = np.concatenate([known[1:3], known[1:3]])
    restricted = experienced.restricted_to(X)
    torch.testing.assert_close(features(restricted, X), features(experienced, X))
    np.testing.assert_array_equal(restricted.warm_starts[0], known[1:3])
    assert len(experienced.warm_starts[0]) == len(known)
    np.testing.assert_array_equal(restricted.space.enumerate(), known[1:3])


def test_network_is_frozen_from_its_construction(surrogate: MetaSurrogate) -> None:
    assert not any(p.requires_grad for p in surrogate.network.parameters())
    assert not surrogate.network.training


def test_another_past_predicts_anew(
    experienced: MetaSurrogate, task_of: Callable[..., Task]
) -> None:
    X = experienced.space.enumerate()
    before = features(experienced, X)
    assert before.shape[1] == 8 + experienced.structure.width + 2  # of two past studies
    experienced.past = past_of(experienced, [task_of(2)])
    assert not torch.equal(features(experienced, X), before)
    experienced.past = None
    assert experienced.predictor is None
    assert features(experienced, X).shape[1] == before.shape[1] - 2


@pytest.mark.parametrize("again", [copy, deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_predict_the_same(
    experienced: MetaSurrogate, again: Callable[[MetaSurrogate], MetaSurrogate]
) -> None:
    X = experienced.space.enumerate()
    assert torch.equal(features(again(experienced), X), features(experienced, X))


def test_state_restores_everything(experienced: MetaSurrogate) -> None:
    experienced.provenance = {"tasks": {"a": 3}}
    twin = MetaSurrogate.from_state(experienced.state())
    X = experienced.space.enumerate()
    assert torch.equal(features(twin, X), features(experienced, X))
    np.testing.assert_array_equal(twin.warm_starts[0], experienced.warm_starts[0])
    assert twin.provenance == experienced.provenance
    assert not any(p.requires_grad for p in twin.network.parameters())


@pytest.mark.parametrize(
    ("tasks", "names"),
    [
        ({"a": 3, "b": 4}, ("a", "b")),
        ({"a": 3}, ("past study 0", "past study 1")),  # the names are not those of the past
        (7, ("past study 0", "past study 1")),
        (None, ("past study 0", "past study 1")),
    ],
)
def test_past_studies_have_names(
    experienced: MetaSurrogate, tasks: object, names: tuple[str, ...]
) -> None:
    experienced.provenance = {} if tasks is None else {"tasks": tasks}
    assert experienced.past_names == names
    experienced.past = None
    assert experienced.past_names == ()


@pytest.mark.parametrize(
    ("gp", "model"), [(Config().gp, TransferModel), (Config.preset("paper").gp, PaperModel)]
)
def test_configuration_chooses_the_model(gp: Any, model: type) -> None:
    surrogate = MetaSurrogate(NASBench201Space(), Config(gp=gp))
    assert type(surrogate.study_model(None)) is model


def test_the_metric_is_in_the_state_only_if_it_is_known(surrogate: MetaSurrogate) -> None:
    assert "metric" not in surrogate.state()
    assert MetaSurrogate.from_state(surrogate.state()).metrics == (None,)
    surrogate.metrics = ("accuracy",)
    assert MetaSurrogate.from_state(surrogate.state()).metrics == ("accuracy",)
