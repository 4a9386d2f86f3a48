from __future__ import annotations

from itertools import product
from math import prod

import networkx as nx
import numpy as np
import optuna
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import mobilenetv3
from optuna_tnas.spaces import MobileNetV3Space


def network(*depths: int) -> dict[str, int]:
    """A network of the given depths, kernel 3 and expand 6 everywhere."""
    params = {}
    for stage, depth in enumerate(depths, start=1):
        params[f"depth_{stage}"] = depth
        for layer in range(1, depth + 1):
            params |= {f"kernel_{stage}_{layer}": 3, f"expand_{stage}_{layer}": 6}
    return params


def test_size_equals_brute_formula():
    space = MobileNetV3Space()
    assert len(space.parameters) == 5 * (1 + 4 * 2)
    assert space.size == prod(sum(9**d for d in (2, 3, 4)) for _ in range(5))
    assert space.size == 21_758_655_492_572_485_851


def test_one_stage_equals_brute_force(monkeypatch):
    monkeypatch.setattr(mobilenetv3, "STAGES", range(1, 2))
    space = MobileNetV3Space()
    listed = {tuple(space.decode(row).items()) for row in space.enumerate()}
    expected = set()
    for depth in (2, 3, 4):
        layers = product(product((3, 5, 7), (3, 4, 6)), repeat=depth)
        for choice in layers:
            params = {"depth_1": depth}
            for layer, (kernel, expand) in enumerate(choice, start=1):
                params |= {f"kernel_1_{layer}": kernel, f"expand_1_{layer}": expand}
            expected.add(tuple(params.items()))
    assert listed == expected
    assert space.size == len(space.enumerate()) == len(expected) == 9**2 + 9**3 + 9**4


@pytest.mark.parametrize("depths", [(2, 2, 2, 2, 2), (4, 4, 4, 4, 4), (2, 3, 4, 3, 2)])
def test_asks_for_existing_layers_only(depths):
    space = MobileNetV3Space()
    params = network(*depths)
    assert space.suggest(optuna.trial.FixedTrial(params)) == params
    assert len(params) == 5 + 2 * sum(depths)
    study = optuna.create_study()
    study.enqueue_trial({name: value for name, value in params.items() if "depth" in name})
    trial = study.ask()
    space.suggest(trial)
    assert set(trial.params) == set(params)


def test_existing_layers_may_not_be_missing():
    space = MobileNetV3Space()
    params = network(2, 3, 2, 2, 2)
    del params["expand_2_3"]
    with pytest.raises(SpaceError, match=r"'expand_2_3'.* is missing"):
        space.encode(params)
    with pytest.raises(ValueError, match="expand_2_3"):
        space.suggest(optuna.trial.FixedTrial(params))


def test_layers_that_do_not_exist_are_ignored():
    space = MobileNetV3Space()
    params = network(2, 3, 4, 3, 2)
    extra = params | {"kernel_1_3": 7, "expand_1_4": 4, "kernel_5_4": "anything"}
    assert np.array_equal(space.encode(extra), space.encode(params))
    assert space.decode(space.encode(extra)) == params


@pytest.mark.parametrize("depths", [(2, 2, 2, 2, 2), (4, 4, 4, 4, 4), (2, 3, 4, 3, 2)])
def test_graph_is_the_chain_of_existing_layers(depths):
    space = MobileNetV3Space()
    params = network(*depths) | {"kernel_2_1": 7, "expand_2_1": 4}
    graph = space.to_graph(params)
    layers = [(s, layer) for s, d in enumerate(depths, start=1) for layer in range(1, d + 1)]
    names = ["input", *(f"{s}_{layer}" for s, layer in layers), "output"]
    assert set(graph.edges) == set(nx.utils.pairwise(names))
    assert set(graph) == set(names)
    for stage, layer in layers:
        label = "k7_e4" if (stage, layer) == (2, 1) else "k3_e6"
        assert graph.nodes[f"{stage}_{layer}"]["op"] == f"stage{stage}_{label}"
    assert space.from_graph(graph) == params


def test_different_networks_have_different_graphs(draw, isomorphism_classes):
    space = MobileNetV3Space()
    depths = [space.encode(network(*d)) for d in product((2, 3, 4), repeat=5)]
    X = np.unique(np.concatenate([draw(space, 300), depths]), axis=0)
    assert len(set(isomorphism_classes(space.to_graphs(X).pruned()))) == len(X)


def test_nothing_is_dead(draw):
    space = MobileNetV3Space()
    batch = space.to_graphs(draw(space, 300))
    assert np.array_equal(batch.pruned().ops, batch.ops)
    assert np.array_equal(batch.pruned().adjacency, batch.adjacency)


def test_neighbors_of_a_shallow_stage():
    space = MobileNetV3Space()
    params = network(2, 2, 2, 2, 2)
    near = [space.decode(row) for row in space.neighbors(space.encode(params))]
    assert len(near) == 5 * 2 + 2 * 10 * 2
    deeper = {"kernel_3_3": 3, "expand_3_3": 3}  # a new layer starts at its first choices
    assert params | {"depth_3": 3} | deeper in near
    assert params | {"kernel_1_2": 7} in near
    assert not any("kernel_1_3" in other and other["depth_1"] == 2 for other in near)


def test_names():
    names = [f"x{i}" for i in range(45)]
    space = MobileNetV3Space(names)
    assert list(space.distributions()) == names
    assert space.fingerprint == MobileNetV3Space().fingerprint
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    params = space.suggest(study.ask())
    assert space.from_graph(space.to_graph(params)) == params
    with pytest.raises(SpaceError, match="44 names for 45 parameters"):
        MobileNetV3Space(names[1:])
