from __future__ import annotations

from itertools import product
from pathlib import Path
import subprocess
import sys

import networkx as nx
import numpy as np
import optuna
import pytest

import optuna_tnas
from optuna_tnas.errors import SpaceError


def test_import_needs_no_torch():
    code = "import sys, optuna_tnas.spaces; print('torch' in sys.modules)"
    root = Path(optuna_tnas.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


# --- parameters, rows and graphs ------------------------------------------------------------


def test_params_row_params_round_trip(space, draw):
    for row in draw(space, 200):
        params = space.decode(row)
        assert np.array_equal(space.encode(params), row)
        assert space.decode(space.encode(params)) == params


def test_params_graph_params_round_trip(space, draw):
    for row in draw(space, 60):
        params = space.decode(row)
        assert space.from_graph(space.to_graph(params)) == params


def test_graph_is_a_dag_from_one_input_to_one_output(space, draw):
    for row in draw(space, 30):
        graph = space.to_graph(space.decode(row))
        assert nx.is_directed_acyclic_graph(graph)
        ops = [op for _, op in graph.nodes(data="op")]
        assert ops.count("input") == ops.count("output") == 1
        assert set(ops) <= set(space.vocabulary)
        assert graph.in_degree("input") == graph.out_degree("output") == 0


def test_encode_accepts_a_superset_of_the_parameters(space, draw):
    for row in draw(space, 20):
        everything = space.decode(row, inactive=True)
        assert list(everything) == list(space.distributions())
        assert np.array_equal(space.encode(everything | {"learning_rate": 0.1}), row)


def test_inactive_parameters_change_nothing(space, draw):
    rng = np.random.default_rng(1)
    X = draw(space, 200)
    noise = rng.integers(0, space.n_choices, size=X.shape)
    noisy = np.where(space.active(X), X, noise)
    assert np.array_equal(space.canonical(noisy), X)
    for row, disturbed in zip(X[:30], noisy[:30], strict=True):
        assert np.array_equal(space.encode(space.decode(disturbed, inactive=True)), row)


def test_canonical_is_idempotent(space):
    X = np.random.default_rng(2).integers(0, space.n_choices, size=(300, len(space.parameters)))
    once = space.canonical(X)
    assert np.array_equal(space.canonical(once), once)
    assert np.array_equal(space.active(once), space.active(X))


def test_encode_names_the_missing_parameter(space, draw):
    params = space.decode(draw(space, 1)[0])
    for name in params:
        rest = {k: v for k, v in params.items() if k != name}
        with pytest.raises(SpaceError, match=f"'{name}'.* is missing"):
            space.encode(rest)


@pytest.mark.parametrize("foreign", ["dil_conv", None, -1, ["conv"]])
def test_encode_names_the_foreign_value(space, draw, foreign):
    params = space.decode(draw(space, 1)[0])
    name = list(params)[-1]
    with pytest.raises(SpaceError) as error:
        space.encode(params | {name: foreign})
    assert repr(name) in str(error.value)
    assert repr(foreign) in str(error.value)
    assert str(space.distributions()[name].choices) in str(error.value)


def test_from_graph_refuses_foreign_graphs(space, draw):
    row = draw(space, 1)[0]
    graph = space.to_graph(space.decode(row))
    node = next(n for n in graph if n not in ("input", "output"))
    unlabeled, relabeled, smaller, larger, reversed_edge = (graph.copy() for _ in range(5))
    del unlabeled.nodes[node]["op"]
    relabeled.nodes[node]["op"] = "dil_conv"
    smaller.remove_node(node)
    larger.add_node("more", op=graph.nodes[node]["op"])
    reversed_edge.add_edge("output", "input")
    for foreign in (unlabeled, relabeled, smaller, larger, reversed_edge, nx.DiGraph()):
        with pytest.raises(SpaceError, match="not one of the space's"):
            space.from_graph(foreign)


# --- Optuna ---------------------------------------------------------------------------------


def test_suggest_asks_a_fixed_trial_for_active_parameters_only(space, draw):
    for row in draw(space, 30):
        params = space.decode(row)  # a FixedTrial raises if asked for anything else
        assert space.suggest(optuna.trial.FixedTrial(params)) == params


def test_suggest_with_ask_and_tell(space):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(10):
        trial = study.ask()
        params = space.suggest(trial)
        study.tell(trial, 0.0)
        assert trial.params == params
        assert space.decode(space.encode(params)) == params
    distributions = space.distributions()
    for trial in study.trials:
        assert trial.distributions == {name: distributions[name] for name in trial.params}


def test_suggest_with_enqueued_parameters(space, draw):
    row = draw(space, 1)[0]
    study = optuna.create_study()
    study.enqueue_trial(space.decode(row))
    assert np.array_equal(space.encode(space.suggest(study.ask())), row)


def test_distributions_are_a_copy(space):
    space.distributions().clear()
    assert list(space.distributions()) == [p.name for p in space.parameters]


# --- whole spaces ---------------------------------------------------------------------------


def test_size_and_enumerate_equal_brute_force(small_space):
    grid = np.array(list(product(*(range(n) for n in small_space.n_choices))))
    X = small_space.enumerate()
    assert np.array_equal(X, np.unique(small_space.canonical(grid), axis=0))  # sorted, no repeats
    assert small_space.size == len(X)


def test_sample_is_canonical_seeded_and_uniform(space):
    X = space.sample(3000, np.random.default_rng(0))
    assert np.array_equal(X, space.sample(3000, np.random.default_rng(0)))
    assert np.array_equal(X, space.canonical(X))
    active = space.active(X)
    for i, n in enumerate(space.n_choices):
        drawn = X[active[:, i], i]
        share = np.bincount(drawn, minlength=n) / len(drawn)
        assert np.abs(share - 1 / n).max() < 5 / (2 * np.sqrt(len(drawn)))  # five standard errors


def test_neighbors_differ_in_exactly_one_active_choice(space, draw):
    for row in draw(space, 20):
        X = space.neighbors(row)
        active = space.active(row[None])[0]
        assert len(X) == (space.n_choices - 1)[active].sum()
        assert len(np.unique(X, axis=0)) == len(X)
        assert np.array_equal(space.canonical(X), X)
        both = active & space.active(X)
        assert (((row != X) & both).sum(axis=1) == 1).all()


def test_neighbors_are_all_at_distance_one(make_space):
    space = make_space("optional_edges")
    X = space.enumerate()
    for row in X[::397]:
        near = X[(row != X).sum(axis=1) == 1]
        assert np.array_equal(space.neighbors(row), near)


# --- batches of graphs ----------------------------------------------------------------------


def test_batch_is_topological(space, draw):
    batch = space.to_graphs(draw(space, 300))
    assert np.array_equal(batch.adjacency, np.triu(batch.adjacency, k=1))
    assert (batch.ops[:, 0] == space.vocabulary["input"]).all()
    assert (batch.ops[:, -1] == space.vocabulary["output"]).all()
    touched = batch.adjacency.any(axis=1) | batch.adjacency.any(axis=2)
    assert not (touched & ~batch.present).any()


def test_batch_equals_single_graphs_without_zeros(space, draw, graph_at, same_graph):
    X = draw(space, 60)
    batch = space.to_graphs(X)
    for b, row in enumerate(X):
        graph = space.to_graph(space.decode(row))
        alive = graph.subgraph([n for n, op in graph.nodes(data="op") if op not in space.zero])
        assert same_graph(graph_at(space, batch, b), alive)


def test_empty_batch(space):
    batch = space.to_graphs(np.empty((0, len(space.parameters)), dtype=np.int64))
    assert batch.ops.shape == (0, len(space.vertices) + 2)
    distinct, inverse = batch.pruned().unique()
    assert len(distinct) == len(inverse) == 0
