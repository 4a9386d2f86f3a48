"""Spaces from code against Optuna's own brute force and networkx."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import os
from pathlib import Path
import pickle
import subprocess
import sys
from typing import Any

import networkx as nx
import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.trial import FixedTrial
import pytest

from optuna_tnas.errors import MissingSpaceError
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import prune
from optuna_tnas.spaces import Space
from optuna_tnas.spaces import SubsetSpace
from tests.networkx_graphs import from_networkx
from tests.spaces import builds


SMALL = [
    builds.short_mlp,
    builds.branches,
    builds.with_ends,
    builds.parameters_only,
    builds.nothing,
]
LARGE = [builds.mlp, builds.transformer]


def space_of(build: Callable[..., Any]) -> Space:
    zero = ["none"] if build is builds.with_ends else []
    return Space.from_define_by_run(build, zero=zero, n_runs=200)


@pytest.fixture(params=[*SMALL, *LARGE], ids=lambda build: build.__name__)
def build(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


def brute_force(build: Callable[..., Any]) -> set[tuple[tuple[str, Any], ...]]:
    """Every combination of choices, by Optuna's sampler."""
    study = optuna.create_study(sampler=optuna.samplers.BruteForceSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        build(trial)
        return 0.0

    study.optimize(objective)
    return {tuple(trial.params.items()) for trial in study.trials}


# --- parameters and rows --------------------------------------------------------------------


@pytest.mark.parametrize("build", SMALL)
def test_listed_architectures_are_those_of_brute_force(build):
    space = space_of(build)
    listed = [tuple(space.decode(row).items()) for row in space.enumerate()]
    expected = brute_force(build)
    assert {frozenset(params) for params in listed} == {frozenset(p) for p in expected}
    assert len(listed) == space.size == len(expected)
    assert (np.diff(space.indices(space.enumerate())) == 1).all()


def test_estimated_size_is_near_the_true_one():
    space = Space.from_define_by_run(builds.mlp)
    assert not space.enumerable
    exact = sum(24**depth for depth in range(1, 9))
    assert abs(space.size / exact - 1) < 0.25


def test_distributions_are_those_that_optuna_records(build):
    space = space_of(build)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        trial = study.ask()
        build(trial)
        study.tell(trial, 0.0)
        expected = space.distributions()
        for name, distribution in trial.distributions.items():
            assert expected[name] == distribution


def test_distribution_of_a_range_that_its_step_does_not_divide():
    space = Space.from_define_by_run(lambda trial: [trial.suggest_int("k", 3, 8, step=2)])
    assert space.distributions() == {"k": IntDistribution(3, 7, step=2)}
    assert [space.decode(row)["k"] for row in space.enumerate()] == [3, 5, 7]


def test_rows_and_parameters_round_trip(build):
    space = space_of(build)
    for row in space.sample(40, np.random.default_rng(0)):
        params = space.decode(row)
        assert np.array_equal(space.encode(params | {"learning_rate": 0.1}), row)
        trial = FixedTrial(params)  # which raises if it is asked for anything else
        assert space.suggest(trial) == params
        everything = space.decode(row, inactive=True)
        assert list(everything) == list(space.distributions())
        assert np.array_equal(space.encode(everything), row)


def test_inactive_parameters_change_nothing(build):
    space, rng = space_of(build), np.random.default_rng(1)
    X = rng.integers(0, space.n_choices, size=(100, len(space.parameters)))
    once = space.canonical(X)
    assert np.array_equal(space.canonical(once), once)
    assert np.array_equal(space.active(once), space.active(X))
    assert np.array_equal(space.to_graphs(once).ops, space.to_graphs(X).ops)


def test_neighbors_differ_in_one_choice_and_what_depends_on_it(build):
    space = space_of(build)
    for row in space.sample(10, np.random.default_rng(2)):
        params = space.decode(row)
        found = [space.decode(near) for near in space.neighbors(row)]
        for other in found:
            changed = [name for name in params if other.get(name, params[name]) != params[name]]
            assert len(changed) == 1
        for name, value in params.items():
            p = next(p for p in space.parameters if p.name == name)
            tried = {other[name] for other in found if other.get(name, value) != value}
            at = p.choices.index(value)
            steps = [1, 2, 4, 8] if p.ordered else range(len(p.choices))
            expected = [at + sign * step for step in steps for sign in (-1, 1) if step]
            assert tried == {p.choices[i] for i in expected if 0 <= i < len(p.choices)}


def test_no_more_neighbors_than_asked_for():
    space = space_of(builds.mlp)
    row = space.encode({"n_layers": 8} | {f"width_{i}": 64 for i in range(8)} | DROPOUTS)
    assert len(space.neighbors(row)) > 20
    some = space.neighbors(row, 20, np.random.default_rng(0))
    assert len(some) == 20
    assert {n.tobytes() for n in some} <= {n.tobytes() for n in space.neighbors(row)}


DROPOUTS = {f"dropout_{i}": 0.2 for i in range(8)}


def test_more_than_200_parameters():
    space = Space.from_define_by_run(builds.many_parameters, n_runs=5)
    assert len(space.parameters) == 250
    X = space.sample(3, np.random.default_rng(0))
    graphs = space.to_graphs(np.concatenate([X, X]))
    assert (graphs.present.sum(axis=1) == 252).all()
    assert len(graphs.classes()[0]) == 3
    assert len(space.neighbors(X[0], 100, np.random.default_rng(0))) == 100


# --- graphs ---------------------------------------------------------------------------------


def test_batches_are_the_graphs_that_the_function_returns(build, isomorphism_classes):
    space = space_of(build)
    X = space.sample(60, np.random.default_rng(0))
    batch = space.to_graphs(X).pruned()
    assert np.array_equal(batch.adjacency, np.triu(batch.adjacency, k=1))
    assert (batch.ops[:, 0] == 0).all() and (batch.ops[:, -1] == 1).all()
    slow = [prune(space.to_graph(space.decode(row)), ["none"]) for row in X]
    packed = from_networkx(slow, space.vocabulary)
    pairs = set(zip(isomorphism_classes(packed), isomorphism_classes(batch), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert np.array_equal(packed.present.sum(axis=1), batch.present.sum(axis=1))


def test_graph_has_the_functions_nodes_and_attributes():
    def build(trial):
        graph = nx.DiGraph()
        graph.add_node("a", op=trial.suggest_categorical("op", ["conv"]), width=16)
        return graph

    graph = Space.from_define_by_run(build).to_graph({"op": "conv"})
    assert graph.nodes["a"] == {"op": "conv", "width": 16}
    assert set(graph.edges) == {("input", "a"), ("a", "output")}


def test_operations_that_no_run_met_share_places():
    space = Space.from_define_by_run(builds.many_labels, n_runs=50)
    X = space.sample(300, np.random.default_rng(0))
    ops = space.to_graphs(X).ops
    assert ops.max() < len(space.vocabulary)
    labels = list(space.vocabulary)
    for row, found in zip(X, ops, strict=True):
        expected = [op for _, op in space.to_graph(space.decode(row)).nodes(data="op")]
        for op, position in zip(expected, found, strict=True):
            assert labels[position] == op or op not in labels


def test_networks_are_told_apart_only_by_their_graphs():
    """Branches in another order are the same network."""
    space = space_of(builds.branches)
    X = space.enumerate()
    n_classes = len(space.to_graphs(X).pruned().classes()[0])
    stacks = 2 + 4
    assert n_classes == stacks + 2 * (stacks * (stacks + 1) // 2)


# --- what it is told from others by ---------------------------------------------------------


def test_fingerprint_is_the_same_in_every_process(build):
    code = (
        "from optuna_tnas.spaces import Space; from tests.spaces import builds; "
        f"print(Space.from_define_by_run(builds.{build.__name__}).fingerprint)"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == Space.from_define_by_run(build).fingerprint


def relabeled(trial):
    graph = builds.branches(trial)
    names = {node: f"n{i}" for i, node in enumerate(reversed(list(graph)))}
    return nx.relabel_nodes(graph, names)


def renamed(trial):
    return [trial.suggest_categorical("other", ["conv", "pool"])]


def original(trial):
    return [trial.suggest_categorical("op", ["conv", "pool"])]


def test_fingerprint_depends_on_choices_and_graphs_not_on_names():
    space = space_of(builds.branches)
    assert space_of(relabeled).fingerprint == space.fingerprint
    assert space_of(relabeled).difference(space) is None
    assert space_of(renamed).fingerprint == space_of(original).fingerprint
    assert space_of(renamed).named_fingerprint != space_of(original).named_fingerprint
    others = [
        lambda trial: [trial.suggest_categorical("op", ["pool", "conv"])],
        lambda trial: [trial.suggest_categorical("op", ["conv", "pool"]), "more"],
        lambda trial: [trial.suggest_categorical("op", ["conv", "pool"]) + "x"],
    ]
    prints = {space_of(other).fingerprint for other in others}
    assert len({space_of(original).fingerprint, *prints}) == 4


def test_copies_are_the_same_space(build):
    space = space_of(build)
    X = space.sample(20, np.random.default_rng(0))
    again = pickle.loads(pickle.dumps(space))
    assert again.fingerprint == space.fingerprint
    assert np.array_equal(again.to_graphs(X).ops, space.to_graphs(X).ops)


def test_subset_of_a_large_space():
    space = space_of(builds.mlp)
    X = space.sample(30, np.random.default_rng(0))
    subset = SubsetSpace.of(space, X)
    assert subset.difference(space) is None
    assert np.array_equal(subset.indices(subset.enumerate()), np.arange(len(subset.rows)))
    assert np.array_equal(subset.to_graphs(X).ops, space.to_graphs(X).ops)


def test_declaration_names_the_code_and_needs_it():
    space = space_of(builds.short_mlp)
    plain = space.declaration()
    with pytest.raises(MissingSpaceError, match=r"tests\.spaces\.builds:short_mlp.*space=\.\.\."):
        Space.from_declaration(plain)
    assert Space.from_declaration(plain, space) is space
    with pytest.raises(MissingSpaceError, match=r"5 parameters against 17"):
        Space.from_declaration(plain, space_of(builds.mlp))
    assert Space.from_declaration(plain, space_of(builds.short_mlp)).size == space.size


# --- bad functions --------------------------------------------------------------------------


def cycle(trial):
    graph = nx.DiGraph([("a", "b"), ("b", "a")])
    nx.set_node_attributes(graph, trial.suggest_categorical("op", ["conv"]), "op")
    return graph


def labeled(**ops):
    def build(trial):
        graph = nx.DiGraph([("a", "b"), ("c", "b")])
        nx.set_node_attributes(graph, {"a": "x", "b": "y", "c": "z"} | ops, "op")
        return graph

    return build


def no_op(trial):
    return nx.DiGraph([("a", "b")])


def other_choices(trial):
    kind = trial.suggest_categorical("kind", ["wide", "narrow"])
    return [trial.suggest_int("width", 64, 128 if kind == "wide" else 96)]


def other_order(trial):
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return [trial.suggest_categorical("op", ["x", "y"] if kind == "a" else ["y", "x"])]


def returns(value):
    return lambda trial: value


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (cycle, r"'op': 'conv'.*cycle \['a', 'b', 'a'\].*DAG"),
        (labeled(a="input", c="input"), r"\['a', 'c'\] are all the input"),
        (labeled(a="output", c="output"), r"\['a', 'c'\] are all the output"),
        (labeled(b="input"), r"The input, node 'b', reads other nodes; turn"),
        (labeled(a="output"), r"The output, node 'a', is read by other nodes"),
        (lambda trial: [float("nan")], "NaN, which no value equals"),
        (no_op, r"node 'a' has no operation; write graph.add_node"),
        (labeled(a=["list"]), r"operation of 'a' is \['list'\], of type list"),
        (builds.Drifting(), "another architecture for the same choices.*none from chance"),
        (other_choices, r"'width'.*64 to 96 .*64 to 128 .*f\"width_\{kind\}\""),
        (other_order, r"'op'.*\['y', 'x'\].*\['x', 'y'\]"),
        (lambda trial: [trial.suggest_float("lr", 0, 1)], r"float 'lr'.*suggest_float in the obj"),
        (lambda trial: [trial.suggest_int("n", 1, 9, log=True)], r"'n' has log=True; list"),
        (lambda trial: [trial.suggest_int("n", 1, 9999)], r"'n' from 1 .* has 9999 choices"),
        (lambda trial: [trial.suggest_int("n", 2, 1)], r"'n' from 2 to 1 .* has 0 choices"),
        (lambda trial: [trial.suggest_categorical("n", [])], "'n' has no choices"),
        (lambda trial: [trial.suggest_categorical("n", ["a", "a"])], "'n', 'a' is used twice"),
        (returns("conv"), r"returned 'conv', of type str; return a networkx.DiGraph"),
        (returns(nx.Graph()), "of type Graph; return a networkx.DiGraph"),
        (returns({"a": 1}), "of type dict"),
        (lambda trial: 1 // trial.suggest_int("n", 0, 1), r"fails with \{'n': 0\}: ZeroDivision"),
    ],
)
def test_bad_functions(build, told):
    with pytest.raises(SpaceError, match=told):
        Space.from_define_by_run(build)


@pytest.mark.parametrize("zero", [["non"], "none"])
def test_zero_operations_that_no_run_gives_are_refused(zero):
    with pytest.raises(SpaceError, match="No run gave the zero operation 'n"):
        Space.from_define_by_run(builds.with_ends, zero=zero)


def test_there_is_a_run_at_least():
    with pytest.raises(SpaceError, match="n_runs cannot be 0; give 1 or more"):
        Space.from_define_by_run(builds.mlp, n_runs=0)


def test_every_error_names_the_function():
    with pytest.raises(SpaceError, match=r"tests\.spaces\.test_define_by_run:cycle with"):
        Space.from_define_by_run(cycle)


def test_parameters_that_no_run_met_are_named():
    space = Space.from_define_by_run(builds.rare, n_runs=20)
    params = {f"x_{i}": 9 - i for i in range(6)} | {"rare": 1}
    with pytest.raises(SpaceError, match=r"'rare' was met in none of the runs.*n_runs="):
        space.encode(params)


def test_conjunctions_are_found_by_more_runs():
    def build(trial):
        if all(trial.suggest_categorical(f"x_{i}", [False, True]) for i in range(6)):
            for i in range(5):
                trial.suggest_int(f"y_{i}", 0, 9)
            for i in range(20):
                trial.suggest_int(f"z_{i}", 0, 9)

    space = Space.from_define_by_run(build, n_runs=2000)
    assert len(space.parameters) == 31


@pytest.mark.parametrize("foreign", ["16", None, 17, 16.0, [16]])
def test_encode_names_the_foreign_value(foreign):
    space = space_of(builds.short_mlp)
    params = {"n_layers": 1, "width_0": foreign, "dropout_0": 0.0}
    with pytest.raises(SpaceError, match="'width_0' has the value") as error:
        space.encode(params)
    assert repr(foreign) in str(error.value)


def test_encode_names_the_missing_parameter():
    space = space_of(builds.short_mlp)
    with pytest.raises(SpaceError, match="'dropout_0' of the space is missing"):
        space.encode({"n_layers": 1, "width_0": 16})
    with pytest.raises(SpaceError, match="cannot be listed"):
        space_of(builds.mlp).enumerate()
    with pytest.raises(SpaceError, match="keep the parameters"):
        space.from_graph(nx.DiGraph())


def test_functions_without_a_name_work():
    space = Space.from_define_by_run(partial(builds.mlp, most=1))
    assert space.size == 24
