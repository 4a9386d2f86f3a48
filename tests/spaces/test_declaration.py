"""What a declaration must not say."""

from __future__ import annotations

import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import Space
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
        Space(*declaration)


@pytest.mark.parametrize("zero", [["non"], "none"])
def test_a_zero_operation_that_no_vertex_has_is_refused(zero):
    """A bare string is a sequence of letters."""
    with pytest.raises(SpaceError, match=r"The zero operation '.*' is no vertex's"):
        CellSpace([Node("a", ["none", "conv"])], zero=zero)
