from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers import evolution
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from tests.benchmarks.peers.toy import Toy


@pytest.mark.parametrize("space", [NASBench201Space(), MobileNetV3Space()])
def test_child_differs_in_one_choice(space: Space) -> None:
    rng = np.random.default_rng(0)
    for parent in space.sample(50, rng):
        child = evolution.child(space, parent, rng)
        assert child.tolist() in space.neighbors(parent).tolist()


def test_children_are_all_neighbors() -> None:
    space, rng = NASBench201Space(), np.random.default_rng(0)
    parent = space.sample(1, rng)[0]
    children = {tuple(evolution.child(space, parent, rng)) for _ in range(500)}
    assert children == {tuple(row) for row in space.neighbors(parent)}


def test_parents_are_young(toy: Toy) -> None:
    """Each trial is a neighbor of one of the ten before it."""
    tried = toy.search(evolution.sampler(toy.setting()), 60)
    for n in range(10, 60):
        distance = (tried[n - 10 : n] != tried[n]).sum(axis=1)
        assert (distance == 1).any()


def test_parent_is_the_best_of_a_sample(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sample that surely holds all, the parent is the best of the ten youngest."""
    monkeypatch.setattr(evolution, "SAMPLE", 1000)
    tried = toy.search(evolution.sampler(toy.setting()), 40)
    values = toy.target[tuple(tried.T)]
    for n in range(10, 40):
        parent = tried[n - 10 : n][values[n - 10 : n].argmax()]
        assert (parent != tried[n]).sum() == 1
