"""A space as plain data: round trips, fingerprints, differences in words, damage."""

from __future__ import annotations

import json

import numpy as np
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import rename
from optuna_tnas.spaces.declaration import Vertex


def reread(space: Space) -> dict:
    """A copy of the declaration that a test may damage."""
    return json.loads(json.dumps(space.declaration()))


def renamed(space: Space) -> Space:
    """The space under other names of parameters and vertices."""
    plain = reread(space)
    for part in (*plain["parameters"], *plain["vertices"]):
        part["name"] = f"x/{part['name']}"
    return Space.from_declaration(plain)


def test_declaration_round_trips_through_json(space, draw):
    again = Space.from_declaration(reread(space))
    assert again.declaration() == space.declaration()
    assert again == DeclaredSpace(
        space.parameters, space.vertices, space.edges, space.zero, space.leaves_to_output
    )
    assert again.fingerprint == space.fingerprint
    assert again.difference(space) is None
    assert again.distributions() == space.distributions()
    X = draw(space, 50)
    assert np.array_equal(again.to_graphs(X).ops, space.to_graphs(X).ops)
    assert np.array_equal(again.to_graphs(X).adjacency, space.to_graphs(X).adjacency)


def test_the_order_of_choices_is_kept():
    vertices, edges = (Vertex("a", (0,), ("k3", "k5")),), (Edge(0, 1), Edge(1, 2))
    plain, ordered = (
        DeclaredSpace((Parameter("kernel", (3, 5), ordered=o),), vertices, edges)
        for o in (False, True)
    )
    again = Space.from_declaration(reread(ordered))
    assert again == ordered and again.fingerprint == ordered.fingerprint != plain.fingerprint
    assert "'kernel', whose choices are ordered" in ordered.difference(plain)
    assert rename(ordered.parameters, ["k"])[0].ordered


def test_fingerprint_ignores_names(space, draw):
    other = renamed(space)
    assert other.fingerprint == space.fingerprint
    assert other.difference(space) is None
    X = draw(space, 20)
    assert np.array_equal(other.to_graphs(X).adjacency, space.to_graphs(X).adjacency)
    for row in X:
        params = {f"x/{name}": value for name, value in space.decode(row).items()}
        assert np.array_equal(other.encode(params), row)


def changes(plain: dict) -> dict[str, dict]:
    """Declarations that each change one thing of ``plain``, each in another way."""
    changed: dict[str, dict] = {}

    def copy(what: str) -> dict:
        changed[what] = json.loads(json.dumps(plain))
        return changed[what]

    for i, parameter in enumerate(plain["parameters"]):
        if len(parameter["choices"]) > 1:
            copy(f"choices of {i} turned round")["parameters"][i]["choices"].reverse()
        copy(f"choice of {i} renamed")["parameters"][i]["choices"][0] = "other"
        if i and parameter["active"] is None:
            copy(f"{i} conditional")["parameters"][i]["active"] = [0, [0]]
        elif parameter["active"]:
            copy(f"{i} always active")["parameters"][i]["active"] = None
    copy("one parameter more")["parameters"].append(
        {"name": "a new one", "choices": [1, 2], "active": None}
    )
    for i in range(len(plain["vertices"])):
        copy(f"label of vertex {i}")["vertices"][i]["ops"][0] = "other"
    for i, (source, target, when) in enumerate(plain["edges"]):
        del copy(f"without edge {i}")["edges"][i]
        copy(f"edge {i} on condition")["edges"][i] = [source, target, None if when else [0, [0]]]
    copy("one vertex more")["vertices"].append({"name": "new", "parameters": [], "ops": ["conv"]})
    labels = [op for vertex in plain["vertices"] for op in vertex["ops"]]
    more = next(op for op in labels if op not in (None, *plain["zero"]))
    copy("one zero more")["zero"].append(more)
    copy("leaves")["leaves_to_output"] ^= True
    return changed


def test_fingerprint_differs_for_any_structural_change(space):
    changed = changes(reread(space))
    spaces = {what: Space.from_declaration(plain) for what, plain in changed.items()}
    prints = {what: other.fingerprint for what, other in spaces.items()}
    assert len({space.fingerprint, *prints.values()}) == 1 + len(prints), prints
    for other in spaces.values():
        assert space.difference(other) is not None
        assert other.difference(space) is not None


def test_fingerprints_of_all_kinds_of_spaces_differ(make_space):
    names = ["nasbench201", "mobilenetv3", "nasbench_graph", "transnas_micro", "optional_edges"]
    assert len({make_space(name).fingerprint for name in names}) == len(names)


def test_difference_names_the_parameter(space):
    last = len(space.parameters) - 1
    plain = reread(space)
    plain["parameters"][last] |= {"name": "theirs"}
    plain["parameters"][last]["choices"][0] = "other"
    told = space.difference(Space.from_declaration(plain))
    for part in (repr(space.parameters[last].name), "'theirs'", "'other'"):
        assert part in told


def test_difference_tells_true_from_one():
    def space(choices: tuple) -> Space:
        return DeclaredSpace((Parameter("p", choices),), (Vertex("v", (0,), ("a", "b")),), ())

    told = space((0, 1)).difference(space((False, True)))
    assert "'p'" in told and "(0, 1)" in told and "(False, True)" in told


def test_difference_names_the_conditional_parameter(make_space):
    space = make_space("mobilenetv3")
    plain = reread(space)
    plain["parameters"][5]["active"] = None
    assert "'kernel_1_3'" in space.difference(Space.from_declaration(plain))


def test_difference_counts_parameters_and_finds_the_graph(make_space):
    space = make_space("nasbench201")
    other = make_space("mobilenetv3")
    assert space.difference(other) == "6 parameters against 45"
    plain = reread(space)
    del plain["edges"][0]
    assert "another graph" in space.difference(Space.from_declaration(plain))


# --- bad declarations -----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["parameters", "vertices", "edges", "zero", "leaves_to_output"])
def test_from_declaration_names_the_missing_key(space, key):
    plain = reread(space)
    del plain[key]
    with pytest.raises(SpaceError, match=f"Not a space's declaration: .*{key}"):
        Space.from_declaration(plain)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("parameters", 3),
        ("parameters", [{"name": "p"}]),
        ("parameters", ["p"]),
        ("vertices", [{"name": "v", "parameters": [99], "ops": ["a"]}]),
        ("edges", [[0, 1]]),
        ("edges", [[0, 1, None, None]]),
        ("edges", [["input", "output", None]]),
        ("edges", [[0, 1, [99, [0]]]]),
        ("edges", [[0, 1, [0]]]),
        ("zero", None),
    ],
)
def test_from_declaration_refuses_damage(part, value):
    plain = reread(NASBench201Space()) | {part: value}
    with pytest.raises(SpaceError):
        Space.from_declaration(plain)


@pytest.mark.parametrize("plain", [None, [], "nasbench201", 3])
def test_from_declaration_refuses_anything_else(plain):
    with pytest.raises(SpaceError, match="Not a space's declaration"):
        Space.from_declaration(plain)
