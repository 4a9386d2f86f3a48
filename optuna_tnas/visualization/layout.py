"""Where to draw the operations of an architecture: in layers, edges around what is between.

Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures" (IEEE
Trans. SMC, 1981): an edge over several layers has a bend in each, the order within the layers is
that of the neighbors' mean positions.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
from sklearn.isotonic import isotonic_regression


Vertex = Hashable
Point = tuple[float, float]

PASSING = 0.3  # of the way to the next layer: more than half an operation's height
_SWEEPS = 12
_BEND_WIDTH = 0.45  # of an edge beside operations, whose width is 1
_BEND_WEIGHT = 4.0  # straight edges are worth more than centered operations


@dataclass(frozen=True)
class Layout:
    """A DAG's drawing, each operation 1 wide, layers 1 apart, from the top down.

    Attributes:
        places: Center of each operation.
        paths: Points of each edge, from its source's center to its target's.
    """

    places: Mapping[Vertex, Point]
    paths: Mapping[tuple[Vertex, Vertex], Sequence[Point]]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper end of everything."""
        points = [*self.places.values(), *(p for path in self.paths.values() for p in path)]
        x, y = zip(*points, strict=True)
        return min(x) - 0.5, max(x) + 0.5, min(y) - 0.5, max(y) + 0.5


def layout(graph: nx.DiGraph) -> Layout:
    """Lay a DAG out: longest paths give the layers, bends keep edges clear of operations."""
    bent, bends = _with_bends(graph)
    layers = _ordered(bent, [sorted(layer, key=str) for layer in nx.topological_generations(bent)])
    x = _coordinates(bent, layers)
    points = {v: (x[v], -float(depth)) for depth, layer in enumerate(layers) for v in layer}
    paths = {
        (u, v): _path([points[u], *(points[b] for b in bends[u, v]), points[v]])
        for u, v in graph.edges
    }
    return Layout({v: points[v] for v in graph}, paths)


def _path(points: Sequence[Point]) -> list[Point]:
    """Go straight down past each layer, and aslant between the layers only."""
    path = [points[0]]
    for (x, y), (next_x, next_y) in pairwise(points):
        path += [(x, y - PASSING), (next_x, next_y + PASSING)]
    return [*path, points[-1]]


def _with_bends(
    graph: nx.DiGraph,
) -> tuple[nx.DiGraph, dict[tuple[Vertex, Vertex], list[Vertex]]]:
    """Put a vertex into every layer that an edge crosses; also return those of each edge."""
    depth = {v: d for d, layer in enumerate(nx.topological_generations(graph)) for v in layer}
    bent = nx.DiGraph()
    bent.add_nodes_from(graph)
    bends: dict[tuple[Vertex, Vertex], list[Vertex]] = {}
    for u, v in graph.edges:
        bends[u, v] = [_Bend(u, v, d) for d in range(depth[u] + 1, depth[v])]
        nx.add_path(bent, [u, *bends[u, v], v])
    return bent, bends


@dataclass(frozen=True)
class _Bend:
    """Where an edge crosses a layer."""

    source: Vertex
    target: Vertex
    layer: int


def _ordered(graph: nx.DiGraph, layers: list[list[Vertex]]) -> list[list[Vertex]]:
    """Order the vertices within their layers so that few edges cross."""
    best = layers
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = graph.predecessors if down else graph.successors
        layers = _swept(layers if down else layers[::-1], near)
        layers = layers if down else layers[::-1]
        if crossings(graph, layers) < crossings(graph, best):
            best = layers
    return best


def _swept(
    layers: list[list[Vertex]], near: Callable[[Vertex], Sequence[Vertex]]
) -> list[list[Vertex]]:
    """Order each layer by the mean position of the neighbors in the one before."""
    swept = [layers[0]]
    for layer in layers[1:]:
        place = {v: i for i, v in enumerate(swept[-1])}
        own = {v: i for i, v in enumerate(layer)}
        mean = {v: float(np.mean([place[u] for u in near(v)] or [own[v]])) for v in layer}
        swept.append(sorted(layer, key=mean.__getitem__))
    return swept


def crossings(graph: nx.DiGraph, layers: Sequence[Sequence[Vertex]]) -> int:
    """Count the pairs of edges that cross, each of which joins neighboring layers."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {v: i for i, v in enumerate(lower)}
        ends = [sorted(place[w] for w in graph.successors(v)) for v in upper]
        flat = np.array([end for some in ends for end in some])
        source = np.repeat(np.arange(len(ends)), [len(some) for some in ends])
        crossed = (flat[:, None] > flat[None]) & (source[:, None] < source[None])
        total += int(crossed.sum())
    return total


def _coordinates(graph: nx.DiGraph, layers: list[list[Vertex]]) -> dict[Vertex, float]:
    """Place the vertices near their neighbors, without changing the order within the layers."""
    x = {v: float(i) for layer in layers for i, v in enumerate(layer)}
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = [_mean_neighbor(graph, v, x) for v in layer]
            x.update(zip(layer, _separated(layer, wanted), strict=True))
    return x


def _mean_neighbor(graph: nx.DiGraph, vertex: Vertex, x: Mapping[Vertex, float]) -> float:
    near = [*graph.predecessors(vertex), *graph.successors(vertex)]
    return float(np.mean([x[v] for v in near])) if near else x[vertex]


def _separated(layer: Sequence[Vertex], wanted: Sequence[float]) -> list[float]:
    """Move the vertices as little as possible so that they do not overlap.

    Without the space that each needs after those before it, their places must not descend: least
    squares under that constraint is isotonic regression.
    """
    widths = np.array([_BEND_WIDTH if isinstance(v, _Bend) else 1.0 for v in layer])
    weights = [_BEND_WEIGHT if isinstance(v, _Bend) else 1.0 for v in layer]
    offsets = np.concatenate([[0.0], np.cumsum((widths[1:] + widths[:-1]) / 2)])
    fitted = isotonic_regression(np.asarray(wanted) - offsets, sample_weight=weights)
    return [float(place) for place in fitted + offsets]
