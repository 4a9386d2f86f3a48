from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import peers
from benchmarks.peers import _parts
from benchmarks.peers import Setting
from benchmarks.peers._meta import meta_trained
from optuna_tnas.surrogate.gp import Mixture
from tests.benchmarks.peers import small
from tests.benchmarks.peers.small import search
from tests.benchmarks.peers.small import SPACE


METHODS = [name for name in peers.names() if name.startswith("default_")]


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    return small.setting_of(small.SMALL, tmp_path, monkeypatch)


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_repeats_itself(method: str, setting: Setting) -> None:
    assert search(setting, method) == search(setting, method)


def test_each_part_makes_a_difference(setting: Setting) -> None:
    disagreeing = (*setting.history, small.past("c", 2, sign=-1.0))
    setting = replace(setting, history=disagreeing)
    found = [search(setting, method) for method in (*METHODS, "tnas")]
    assert len(METHODS) == 6
    assert all(a != b for i, a in enumerate(found) for b in found[:i])


def test_what_is_left_out_is_constant_and_the_rest_as_it_was(setting: Setting) -> None:
    X = SPACE.sample(20, np.random.default_rng(0))
    whole = meta_trained(setting, "default")
    n, q, inputs = whole.n_latents, whole.n_studies, whole.inputs(X, None)
    shallow = _parts.without_deep_kernel(setting).inputs(X, None)
    assert not shallow[:, :n].any()
    assert torch.equal(shallow[:, n:-q], inputs[:, n:-q])
    flat = _parts.without_structure(setting).inputs(X, None)
    assert not flat[:, n:-q].any()
    assert torch.equal(flat[:, :n], inputs[:, :n])
    one = _parts.without_weights(setting).inputs(X, None)
    torch.testing.assert_close(one[:, -1], inputs[:, -q:].sum(dim=1))
    assert one.shape[1] == n + whole.structure.width + 1
    new = _parts.without_past(setting).inputs(X, None)
    assert torch.equal(new, inputs[:, :-q])
    for other in (shallow, flat):
        assert (other[:, -q:].std(dim=0) > 0).all()
        assert not torch.allclose(other[:, -q:], inputs[:, -q:])


def test_without_the_mixture_the_past_always_says_something(setting: Setting) -> None:
    X = SPACE.sample(20, np.random.default_rng(0))
    y = torch.from_numpy(np.random.default_rng(1).standard_normal(20))
    models = [meta_trained(setting, "default"), _parts.without_mixture(setting)]
    whole, part = (model.condition(model.inputs(X, None), y) for model in models)
    assert part.probabilities.tolist() == [1.0]
    Z = models[0].inputs(X, None)
    assert torch.equal(part.mean(Z), Mixture(whole.gps[0]).mean(Z))
    assert not torch.allclose(part.mean(Z), whole.mean(Z))
