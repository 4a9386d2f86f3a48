from __future__ import annotations

from functools import partial
import sys

import numpy as np
import pytest

from benchmarks.peers import make
from benchmarks.peers.hebo import Hebo
from optuna_tnas.spaces import MobileNetV3Space
from tests.benchmarks.peers.toy import Toy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    lean = pytest.importorskip("leanhebo")
    search = lean.SearchConfig(generations=5)
    monkeypatch.setattr(lean, "LeanHEBOConfig", partial(lean.LeanHEBOConfig, search=search))
    monkeypatch.setattr(lean, "GPConfig", partial(lean.GPConfig, initial_steps=20))


@pytest.mark.usefixtures("quick")
def test_same_seed_same_trials(toy: Toy) -> None:
    first, again = (toy.search(make("hebo", toy.setting()), 10) for _ in range(2))
    other = toy.search(make("hebo", toy.setting(1)), 4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:4], other)
    assert len(np.unique(first, axis=0)) == 10


@pytest.mark.usefixtures("quick")
def test_maximizes(toy: Toy) -> None:
    rows = toy.search(make("hebo", toy.setting()), 16)
    values = toy.target[tuple(rows.T)]
    assert values[4:].mean() > values[:4].mean()  # the first four are random


@pytest.mark.usefixtures("quick")
def test_space_with_conditions() -> None:
    space = MobileNetV3Space()
    X = space.sample(12, np.random.default_rng(0))
    hebo = Hebo(space, 0)
    row = hebo(X, X.sum(axis=1).astype(float), np.random.default_rng(0))
    assert hebo._optimizer.observations == 12
    assert hebo._optimizer.surrogate is not None  # not one of its random samples
    assert np.array_equal(space.canonical(row[None]), row[None])
    records = hebo._optimizer.store._materialize_view()
    assert np.array_equal(
        hebo._optimizer.space.decode(records.encoded).to_records(), hebo._records(X)
    )


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, toy: Toy) -> None:
    monkeypatch.setitem(sys.modules, "leanhebo", None)
    with pytest.raises(ImportError, match="pip install leanhebo"):
        make("hebo", toy.setting())
