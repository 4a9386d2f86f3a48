"""Listings against the space and its graphs."""

from __future__ import annotations

import networkx as nx
import numpy as np

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import prune
from optuna_tnas.spaces.listing import Listing


OPS = ("none", "conv", "pool")
SPACE = CellSpace([Node("a", OPS), Node("b", OPS), Node("c", OPS, ["a", "b"])], zero=("none",))


def test_equal_numbers_are_equal_networks() -> None:
    listing = Listing(SPACE)
    graphs = [prune(SPACE.to_graph(SPACE.decode(row)), SPACE.zero) for row in listing.X]
    for i, one in enumerate(graphs):
        for j, other in enumerate(graphs):
            same = nx.is_isomorphic(one, other, node_match=lambda u, v: u == v)
            assert (listing.network[i] == listing.network[j]) == same
    assert len(listing.first) == listing.network.max() + 1 < len(listing.X)
    np.testing.assert_array_equal(listing.network[listing.first], np.arange(len(listing.first)))


def test_rows_are_looked_up() -> None:
    listing = Listing(SPACE)
    order = np.random.default_rng(0).permutation(len(listing.X))[:7]
    np.testing.assert_array_equal(listing.networks_of(listing.X[order]), listing.network[order])
    assert set(np.flatnonzero(listing.contained_in(listing.X[order]))) == set(order.tolist())
    assert not listing.contained_in(listing.X[:0]).any()
