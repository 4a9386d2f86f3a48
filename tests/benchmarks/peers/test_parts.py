from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.peers import _parts
from benchmarks.peers import Setting
from benchmarks.peers._meta import meta_trained
from optuna_tnas import MetaSurrogate
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.kernels import FeatureInputs
from tests.benchmarks.peers import small
from tests.benchmarks.peers.small import search
from tests.benchmarks.peers.small import search_unrelated
from tests.benchmarks.peers.small import SPACE


METHODS = [name for name in peers.names() if name.startswith("default_")]


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    return small.setting_of(small.SMALL, tmp_path, monkeypatch)


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_repeats_itself(method: str, setting: Setting) -> None:
    assert search(setting, method) == search(setting, method)


def test_each_part_makes_a_difference(setting: Setting) -> None:
    disagreeing = (*setting.history, small.past("c", 5, sign=-1.0))
    setting = replace(setting, history=disagreeing)
    found = {method: search_unrelated(setting, method) for method in (*METHODS, "tnas")}
    assert len(METHODS) == 5
    same = [(a, b) for a in found for b in found if a < b and found[a] == found[b]]
    assert same == []


def inputs(surrogate: MetaSurrogate, X: np.ndarray) -> Tensor:
    return surrogate.study_model(None).features(X)


def test_what_is_left_out_is_constant_and_the_rest_as_it_was(setting: Setting) -> None:
    X = SPACE.sample(20, np.random.default_rng(0))
    whole = meta_trained(setting, "default")
    expected, blocks = inputs(whole, X), whole.study_model(None).features.blocks
    latents, structure, predicted = blocks.latents, blocks.structure, blocks.predictions
    shallow = inputs(_parts.without_deep_kernel(setting), X)
    assert not shallow[:, latents].any()
    assert torch.equal(shallow[:, structure], expected[:, structure])
    without = _parts.without_structure(setting)
    flat, left = inputs(without, X), without.study_model(None).features.blocks
    assert not flat[:, left.structure].any()
    assert torch.equal(flat[:, left.latents], expected[:, latents])
    new = inputs(_parts.without_past(setting), X)
    assert torch.equal(new, expected[:, : predicted.start])
    for other, place in ((shallow, predicted), (flat, left.predictions)):
        assert (other[:, place].std(dim=0) > 0).all()
        assert not torch.allclose(other[:, place], expected[:, predicted])


def fitted(surrogate: MetaSurrogate, X: np.ndarray, y: Tensor) -> Mixture:
    model = surrogate.study_model(None)
    return model.fit(FeatureInputs(model.features.blocks), model.features(X), y)


@pytest.fixture
def study() -> tuple[np.ndarray, Tensor]:
    y = torch.from_numpy(np.random.default_rng(1).standard_normal(20))
    return SPACE.sample(20, np.random.default_rng(0)), y


def test_without_the_mixture_the_past_always_says_something(
    setting: Setting, study: tuple[np.ndarray, Tensor]
) -> None:
    models = [meta_trained(setting, "default"), _parts.without_mixture(setting)]
    whole, part = (fitted(model, *study) for model in models)
    assert part.probabilities.tolist() == [1.0]
    x = inputs(models[0], study[0])
    assert torch.equal(part.mean(x), Mixture(whole.gps[0]).mean(x))
    assert not torch.allclose(part.mean(x), whole.mean(x))
