from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import peers
from benchmarks.peers import _meta
from benchmarks.peers import Setting
from benchmarks.peers._flat import FlatSurrogate
from benchmarks.peers._one_hot import one_hot
from optuna_tnas import MetaSurrogate
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.spaces import MobileNetV3Space
from tests.benchmarks.peers import small
from tests.benchmarks.peers.small import search
from tests.benchmarks.peers.small import SPACE


ABLATIONS = [name for name in peers.names() if name.startswith("ablation_")]


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    return small.setting_of(replace(small.SMALL, gp="paper"), tmp_path, monkeypatch)


def initial(setting: Setting) -> list[dict[str, str]]:
    return [SPACE.decode(row) for row in _meta.meta_trained(setting, "paper").warm_starts[0][:5]]


@pytest.mark.parametrize("method", ABLATIONS)
def test_a_resumed_run_repeats_itself(method: str, setting: Setting) -> None:
    assert search(setting, method) == search(setting, method)


def test_only_the_random_start_differs_at_the_start(setting: Setting) -> None:
    published = initial(setting)
    assert search(setting, "ablation_untrained")[:5] == published
    assert search(setting, "ablation_random_start")[:5] != published


def test_no_meta_learning_means_the_weights_of_the_beginning(setting: Setting) -> None:
    sampler = peers.make("ablation_untrained", setting)
    weights = sampler._suggester.surrogate.network.state_dict()
    fresh = MetaSurrogate(SPACE, small.SMALL, seed=setting.seed).network.state_dict()
    trained = _meta.meta_trained(setting, "paper").network.state_dict()
    assert all(torch.equal(weights[name], fresh[name]) for name in fresh)
    assert any(not torch.equal(weights[name], trained[name]) for name in fresh)


def test_training_changes_the_mlp(setting: Setting) -> None:
    # With some seeds the held-out loss never falls, and then the first weights are kept.
    setting = replace(setting, seed=0)
    fresh = FlatSurrogate(SPACE, 512, N_FEATURES, setting.seed)
    before = {
        name: w.clone() for name, w in fresh.network.architecture_encoder.state_dict().items()
    }
    after = _meta.trained(setting, fresh, "mlp").network.architecture_encoder.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_one_hot_tells_all_architectures_apart_and_leaves_inactive_choices_out() -> None:
    space = MobileNetV3Space()
    X = np.unique(space.sample(200, np.random.default_rng(0)), axis=0)
    encoded = torch.from_numpy(one_hot(space, X))
    assert len(torch.unique(encoded, dim=0)) == len(X)
    assert torch.equal(encoded.sum(dim=1), torch.from_numpy(space.active(X).sum(axis=1)).double())


def test_flat_surrogates_tell_cells_of_one_graph_apart() -> None:
    X = SPACE.enumerate()
    surrogate = FlatSurrogate(SPACE, 0, N_FEATURES, 0)
    model = surrogate.study_model(None)
    assert len(torch.unique(model.features(X), dim=0)) == SPACE.size
    candidates = ExhaustiveSearch(surrogate.space, model).inputs(X)
    assert len(torch.unique(candidates)) == SPACE.size
    assert surrogate.space.distributions() == SPACE.distributions()
