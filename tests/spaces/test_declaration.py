"""Parts of a declaration: made plain, or refused."""

from __future__ import annotations

import enum
import json

import numpy as np
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex


TWO = Parameter("p", ("a", "b"))
OP = Vertex("v", (0,), ("a", "b"))


@pytest.mark.parametrize(
    ("declaration", "told"),
    [
        (((TWO, TWO), (), ()), "'p' is used twice"),
        (((TWO,), (OP, OP), ()), "'v' is used twice"),
        (((TWO,), (Vertex("input", (0,), ("a", "b")),), ()), "'input' is used twice"),
        (((Parameter("p", ()),), (), ()), "'p' has no choices"),
        (((Parameter("p", ("a", "b", "a")),), (), ()), "'p', 'a' is used twice"),
        (((TWO,), (Vertex("v", (0,), ("a", "b", "c")),), ()), "'v' declares 3 labels for 2"),
        (((TWO,), (Vertex("v", (), ()),), ()), "'v' declares 0 labels for 1"),
        (((TWO,), (Vertex("v", (1,), ("a", "b")),), ()), r"'v' depends on parameters \[1\]"),
        (((TWO,), (Vertex("v", (-1,), ("a", "b")),), ()), r"'v' depends on parameters \[-1\]"),
        (((TWO,), (OP,), (Edge(1, 1),)), "Edge 1 -> 1 does not follow the vertices' order"),
        (((TWO,), (OP,), (Edge(2, 1),)), "Edge 2 -> 1 does not follow the vertices' order"),
        (((TWO,), (OP,), (Edge(1, 3),)), "Edge 1 -> 3"),
        (((TWO,), (OP,), (Edge(-1, 1),)), "Edge -1 -> 1"),
        (
            ((TWO,), (OP,), (Edge(0, 1), Edge(0, 1, Condition(0, (0,))))),
            "'input -> v' is used twi",
        ),
        (((TWO,), (OP,), (Edge(0, 1, Condition(7, (0,))),)), "Edge 0 -> 1 depends on parameter 7"),
        (((TWO,), (OP,), (Edge(0, 1, Condition(0, (2,))),)), r"choices \[2\] of parameter 'p'"),
        (((Parameter("p", (1, 2), Condition(0, (0,))),), (), ()), "'p' depends on parameter 0"),
        (
            ((Parameter("q", (1, 2), Condition(1, (0,))), TWO), (), ()),
            "'q' depends on parameter 1, which is not declared before it",
        ),
    ],
)
def test_bad_declarations(declaration, told):
    with pytest.raises(SpaceError, match=told):
        DeclaredSpace(*declaration)


@pytest.mark.parametrize("zero", [["non"], "none"])
def test_a_zero_operation_that_no_vertex_has_is_refused(zero):
    """A bare string is a sequence of letters."""
    with pytest.raises(SpaceError, match=r"The zero operation '.*' is no vertex's"):
        CellSpace([Node("a", ["none", "conv"])], zero=zero)


class Op(enum.StrEnum):
    CONV = "conv"
    POOL = "pool"


class MixedOp(str, enum.Enum):  # noqa: UP042 - what users of older versions write
    CONV = "conv"
    POOL = "pool"


class Width(enum.IntEnum):
    NARROW = 3
    WIDE = 5


@pytest.mark.parametrize(
    ("ops", "plain"),
    [
        (list(Op), ["conv", "pool"]),
        (list(MixedOp), ["conv", "pool"]),
        (list(np.array(["conv", "pool"])), ["conv", "pool"]),
        (np.array(["conv", "pool"]), ["conv", "pool"]),
        (list(Width), [3, 5]),
        (list(np.array([3, 5])), [3, 5]),
        (np.array([3, 5]), [3, 5]),
        (list(np.array([0.5, 2.0])), [0.5, 2.0]),
        (list(np.array([False, True])), [False, True]),
    ],
    ids=str,
)
def test_choices_and_operations_become_plain_values(ops, plain):
    space = CellSpace([Node("a", ops), Node("b", ops, ["a"])], zero=ops[:1])
    same = CellSpace([Node("a", plain), Node("b", plain, ["a"])], zero=plain[:1])
    kinds = [{type(v) for v in values} for values in (_values(space), _values(same))]
    assert kinds[0] == kinds[1] == {type(plain[0])}
    assert space.fingerprint == same.fingerprint
    assert json.loads(json.dumps(space.declaration())) == space.declaration()
    row = space.encode({"op_a": ops[1], "op_b": ops[0]})  # the user's own values are understood
    assert space.decode(row) == {"op_a": plain[1], "op_b": plain[0]}


def _values(space):
    choices = [c for p in space.parameters for c in p.choices]
    return [*choices, *(op for v in space.vertices for op in v.ops), *space.zero]


def test_names_and_positions_become_plain_values():
    name = np.str_("p")
    parameter = Parameter(name, ("a", "b"))
    condition = Condition(np.int64(0), tuple(np.array([1])))
    edge = Edge(np.int64(0), np.int64(1), condition)
    vertex = Vertex(np.str_("v"), tuple(np.array([0])), ("a", "b"))
    space = DeclaredSpace((parameter,), (vertex,), (edge,))
    assert json.loads(json.dumps(space.declaration())) == space.declaration()
    assert type(space.parameters[0].name) is type(space.vertices[0].name) is str


class Opaque(enum.Enum):
    CONV = "conv"


@pytest.mark.parametrize("value", [Opaque.CONV, ("conv", 3), b"conv", 1j, np.complex128(1)])
def test_other_values_are_refused_by_name(value):
    with pytest.raises(SpaceError, match=r"choice of 'op_a' is .*of type .*give a str"):
        CellSpace([Node("a", [value, "pool"])])
    with pytest.raises(SpaceError, match=r"operation of 'a' is .*give a str"):
        CellSpace([Node("a", [value])])
