"""Sizes of declared spaces, and which of them are listed."""

from __future__ import annotations

import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Vertex


def test_nested_conditions_by_hand(make_space):
    space = make_space("nested_conditions")
    second = 1 + (2 + 1 + 2)  # no second layer, or kernel 3, 5, 7 with its choices of a third one
    assert space.size == len(space.enumerate()) == 2 * second
    listed = [space.decode(row) for row in space.enumerate()]
    assert {"kernel": 3, "more": False} in listed
    assert {"kernel": 3, "more": True, "kernel_2": 5} in listed
    assert {"kernel": 5, "more": True, "kernel_2": 7, "kernel_3": 3} in listed


def test_large_space_refuses_to_be_listed(make_space):
    space = make_space("mobilenetv3")
    assert not space.enumerable
    with pytest.raises(SpaceError, match=r"2\.18e\+19 architectures"):
        space.enumerate()


def chain(n_vertices, n_binary, n_ops=2):
    ops = [f"op{k}" for k in range(n_ops)]
    return CellSpace(
        [
            Node(f"n{i}", ops if i < n_binary else ops[:1], [f"n{i - 1}" if i else "input"])
            for i in range(n_vertices)
        ]
    )


@pytest.mark.parametrize("name", ["nasbench201", "transnas_micro", "nasbench_graph"])
def test_the_benchmarks_cells_are_listed(make_space, name):
    assert make_space(name).enumerable


@pytest.mark.parametrize(
    ("space", "listed"),
    [
        (chain(32, 12), True),
        (chain(32, 13), False),  # 8,192 assignments, each of 34 slots
        (chain(20, 14), True),
        (chain(20, 15), False),
        (chain(9, 7, n_ops=4), True),
        (chain(9, 9, n_ops=4), False),
        (chain(4, 4, n_ops=14), True),
        (chain(4, 4, n_ops=15), False),  # 50,625 networks
        (chain(200, 200), False),
    ],
)
def test_whether_a_space_is_listed_depends_on_what_that_costs(space, listed):
    """Time and memory grow with the networks, and with the square of a graph's slots."""
    assert space.enumerable == listed


def test_a_large_space_of_few_networks_is_listed(make_space):
    """All assignments of nasbench_graph are thrice the limit; its networks are not."""
    space = make_space("nasbench_graph")
    assert space.size > 150_000
    assert len(space.to_graphs(space.enumerate()).pruned().classes()[0]) < 40_000


def test_space_without_parameters_holds_one_architecture():
    space = DeclaredSpace((), (Vertex("a", (), ("conv",)),), (Edge(0, 1), Edge(1, 2)))
    assert space.size == 1
    assert space.enumerate().shape == (1, 0)
    assert space.neighbors(space.enumerate()[0]).shape == (0, 0)
    assert list(space.to_graph({}).edges) == [("input", "a"), ("a", "output")]
