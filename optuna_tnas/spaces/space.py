"""A declared search space: Optuna parameters on one side, labeled DAGs on the other.

Notation: an architecture is a row of choice positions, one per parameter (``n x P`` int64 for a
batch); a parameter that the other choices switch off holds position 0, so equal architectures
are equal rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from functools import cached_property
import hashlib
from itertools import product
import json
from math import prod
from typing import Any

import networkx as nx
import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import BaseTrial

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import validate
from optuna_tnas.spaces.declaration import Vertex
from optuna_tnas.spaces.graphs import ABSENT
from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.graphs import INPUT
from optuna_tnas.spaces.graphs import OUTPUT


# Spaces up to this many assignments are enumerated and scored whole; larger ones are searched.
_ENUMERABLE = 1 << 18


@dataclass(frozen=True)
class Space:
    """A search space of DAG cells over categorical parameters.

    Usually built by :class:`NASBench201Space`, :class:`MobileNetV3Space` or :class:`CellSpace`.

    Attributes:
        parameters: What Optuna sees.
        vertices: The operations, in topological order.
        edges: Between the input (0), the vertices (1, 2, ...) and the output (last).
        zero: Labels of operations that output zeros and so cut every path through them.
        leaves_to_output: Whether vertices that no other vertex reads feed the output.

    Raises:
        SpaceError: If the declaration is inconsistent.
    """

    parameters: tuple[Parameter, ...]
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    zero: tuple[str, ...] = ()
    leaves_to_output: bool = False
    _distributions: dict[str, CategoricalDistribution] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        validate(self.parameters, self.vertices, self.edges, self.zero)
        distributions = {p.name: CategoricalDistribution(p.choices) for p in self.parameters}
        object.__setattr__(self, "_distributions", distributions)

    # --- what Optuna sees -------------------------------------------------------------------

    def distributions(self) -> dict[str, CategoricalDistribution]:
        """Name -> Optuna distribution, in the declaration's order."""
        return dict(self._distributions)

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask the trial for the parameters that the network depends on."""
        params: dict[str, Any] = {}
        for parameter in self.parameters:
            if self._asked(parameter, params):
                params[parameter.name] = trial.suggest_categorical(
                    parameter.name, parameter.choices
                )
        return params

    def _asked(self, parameter: Parameter, params: Mapping[str, Any]) -> bool:
        """Whether the network depends on ``parameter``, given the parameters before it."""
        if parameter.active is None:
            return True
        parent = self.parameters[parameter.active.parameter]
        if parent.name not in params:
            return False
        return self._position(parent.name, params[parent.name]) in parameter.active.choices

    def _position(self, name: str, value: Any) -> int:
        try:
            return int(self._distributions[name].to_internal_repr(value))
        except ValueError:
            raise SpaceError(
                f"Parameter {name!r} has the value {value!r}, which is not one of the space's "
                f"choices {self._distributions[name].choices}."
            ) from None

    # --- rows of choice positions -----------------------------------------------------------

    @property
    def n_choices(self) -> np.ndarray:
        """``P`` int64: how many choices each parameter has."""
        return np.array([len(p.choices) for p in self.parameters], dtype=np.int64)

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """One architecture's parameters as a row of choice positions (``P`` int64).

        Raises:
            SpaceError: If a parameter that the network depends on is missing, or a value is
                not among the choices. Other names are ignored.
        """
        row = np.zeros(len(self.parameters), dtype=np.int64)
        asked: dict[str, Any] = {}
        for i, parameter in enumerate(self.parameters):
            if not self._asked(parameter, asked):
                continue
            if parameter.name not in params:
                raise SpaceError(
                    f"Parameter {parameter.name!r} of the space is missing from {dict(params)}; "
                    "suggest all of them with space.suggest(trial), or rename the space's "
                    "parameters with names=[...]."
                )
            asked[parameter.name] = params[parameter.name]
            row[i] = self._position(parameter.name, params[parameter.name])
        return row

    def decode(self, row: np.ndarray, *, inactive: bool = False) -> dict[str, Any]:
        """The parameters of one row; those switched off only if ``inactive``."""
        active = self.active(row[None])[0]
        return {
            p.name: p.choices[int(position)]
            for p, position, asked in zip(self.parameters, row, active, strict=True)
            if asked or inactive
        }

    def active(self, X: np.ndarray) -> np.ndarray:
        """``n x P`` bool: the parameters that each network depends on."""
        active = np.ones(X.shape, dtype=bool)
        for i, parameter in enumerate(self.parameters):
            if parameter.active is not None:
                active[:, i] = parameter.active.holds(X) & active[:, parameter.active.parameter]
        return active

    def canonical(self, X: np.ndarray) -> np.ndarray:
        """``X`` with every switched-off parameter at position 0."""
        return np.where(self.active(X), X, 0)

    @property
    def size(self) -> int:
        """How many different architectures the space holds."""
        roots = [i for i, p in enumerate(self.parameters) if p.active is None]
        return prod(self._count(i) for i in roots)

    def _count(self, i: int) -> int:
        """Assignments of parameter ``i`` and all that depends on it."""
        children = [
            (k, p.active.choices)
            for k, p in enumerate(self.parameters)
            if p.active is not None and p.active.parameter == i
        ]
        return sum(
            prod(self._count(k) for k, choices in children if c in choices)
            for c in range(len(self.parameters[i].choices))
        )

    @property
    def enumerable(self) -> bool:
        """Whether the space is small enough to be listed and scored whole."""
        return prod(len(p.choices) for p in self.parameters) <= _ENUMERABLE

    def enumerate(self) -> np.ndarray:
        """``size x P``: every architecture, in lexicographic order.

        Raises:
            SpaceError: If the space is not :attr:`enumerable`.
        """
        if not self.enumerable:
            raise SpaceError(f"A space of {self.size:.3g} architectures cannot be listed.")
        shape = tuple(len(p.choices) for p in self.parameters)
        X = np.indices(shape, dtype=np.int64).reshape(len(shape), prod(shape)).T
        return np.asarray(X[(self.canonical(X) == X).all(axis=1)])

    def codes(self, X: np.ndarray) -> np.ndarray:
        """``n`` int64 that tell ``n x P`` architectures apart; in lexicographic order they ascend.

        The space must be :attr:`enumerable`.
        """
        return np.asarray(np.ravel_multi_index(tuple(X.T), tuple(self.n_choices)))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``n x P``: random architectures, every parameter uniform as Optuna would draw it."""
        return self.canonical(rng.integers(0, self.n_choices, size=(n, len(self.parameters))))

    def neighbors(self, row: np.ndarray) -> np.ndarray:
        """``m x P``: the architectures that differ from ``row`` in one active choice."""
        rows = [
            np.concatenate([row[:i], [c], row[i + 1 :]])
            for i, n in enumerate(self.n_choices)
            for c in range(n)
            if c != row[i]
        ]
        if not rows:
            return np.empty((0, len(row)), dtype=np.int64)
        X = self.canonical(np.stack(rows))
        return np.unique(X[(row != X).any(axis=1)], axis=0)

    # --- graphs -----------------------------------------------------------------------------

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Operation label -> position: input, output, then labels in declaration order."""
        labels = [INPUT, OUTPUT, *(op for v in self.vertices for op in v.ops if op is not None)]
        return {op: i for i, op in enumerate(dict.fromkeys(labels))}

    def to_graphs(self, X: np.ndarray) -> GraphBatch:
        """The declared graphs of a batch (``n x P`` -> ``n`` graphs), zero operations removed.

        Operations on no path from input to output are still there; see
        :meth:`GraphBatch.pruned`.
        """
        vocabulary = self.vocabulary
        dead = {vocabulary[op] for op in self.zero if op in vocabulary}
        batch = self._declared(X)
        ops = np.where(np.isin(batch.ops, list(dead)), ABSENT, batch.ops)
        kept = ops != ABSENT
        return GraphBatch(ops, batch.adjacency & kept[:, :, None] & kept[:, None, :])

    def _declared(self, X: np.ndarray) -> GraphBatch:
        n_slots = len(self.vertices) + 2
        ops = np.full((len(X), n_slots), ABSENT, dtype=np.int64)
        ops[:, 0] = self.vocabulary[INPUT]
        ops[:, -1] = self.vocabulary[OUTPUT]
        for slot, vertex in enumerate(self.vertices, start=1):
            ops[:, slot] = self._labels(vertex, X)
        adjacency = np.zeros((len(X), n_slots, n_slots), dtype=bool)
        for edge in self.edges:
            adjacency[:, edge.source, edge.target] = edge.when.holds(X) if edge.when else True
        present = ops != ABSENT
        adjacency &= present[:, :, None] & present[:, None, :]
        if self.leaves_to_output:
            adjacency[:, 1:-1, -1] = present[:, 1:-1] & ~adjacency[:, 1:-1, 1:-1].any(axis=2)
        return GraphBatch(ops, adjacency)

    def _labels(self, vertex: Vertex, X: np.ndarray) -> np.ndarray:
        """``n`` int64: the vertex's operation in each architecture."""
        vocabulary = self.vocabulary
        table = np.array([ABSENT if op is None else vocabulary[op] for op in vertex.ops])
        position = np.zeros(len(X), dtype=np.int64)
        for p in vertex.parameters:
            position = position * len(self.parameters[p].choices) + X[:, p]
        return np.asarray(table[position])

    def to_graph(self, params: Mapping[str, Any]) -> nx.DiGraph:
        """The architecture's operations as a DAG with node attribute ``op``.

        Nodes are the declared vertices plus ``"input"`` and ``"output"``; an edge means that
        one operation reads the other's result. Zero operations are kept, so that
        :meth:`from_graph` gives the parameters back; :func:`prune` removes them.
        """
        batch = self._declared(self.encode(params)[None])
        names = [INPUT, *(v.name for v in self.vertices), OUTPUT]
        labels = list(self.vocabulary)
        graph = nx.DiGraph()
        for name, op in zip(names, batch.ops[0], strict=True):
            if op != ABSENT:
                graph.add_node(name, op=labels[op])
        graph.add_edges_from((names[u], names[v]) for u, v in np.argwhere(batch.adjacency[0]))
        return graph

    def from_graph(self, graph: nx.DiGraph) -> dict[str, Any]:
        """The parameters whose :meth:`to_graph` is ``graph`` (nodes named as declared).

        Raises:
            SpaceError: If the graph is not one of the space's.
        """
        domains = [set(range(len(p.choices))) for p in self.parameters]
        for vertex in self.vertices:
            self._restrict_by_label(vertex, graph, domains)
        names = [INPUT, *(v.name for v in self.vertices), OUTPUT]
        for edge in self.edges:
            source, target = names[edge.source], names[edge.target]
            if edge.when is not None and source in graph and target in graph:
                allowed = set(edge.when.choices)
                present = (source, target) in graph.edges
                domains[edge.when.parameter] -= (
                    domains[edge.when.parameter] - allowed if present else allowed
                )
        if all(domains):
            row = self.canonical(np.array([[min(d) for d in domains]]))[0]
            params = self.decode(row)
            if _same_graph(self.to_graph(params), graph):
                return params
        raise SpaceError(
            f"The graph with operations {dict(graph.nodes(data='op'))} is not one of the space's."
        )

    def _restrict_by_label(
        self, vertex: Vertex, graph: nx.DiGraph, domains: list[set[int]]
    ) -> None:
        label = graph.nodes[vertex.name].get("op") if vertex.name in graph else None
        choices = [range(len(self.parameters[p].choices)) for p in vertex.parameters]
        rows = [c for c, op in zip(product(*choices), vertex.ops, strict=True) if op == label]
        for k, p in enumerate(vertex.parameters):
            domains[p] &= {row[k] for row in rows}

    # --- identity ---------------------------------------------------------------------------

    def declaration(self) -> dict[str, Any]:
        """The space as plain data; :meth:`from_declaration` reads it back."""
        return {
            "parameters": [
                {"name": p.name, "choices": list(p.choices), "active": _plain(p.active)}
                for p in self.parameters
            ],
            "vertices": [
                {"name": v.name, "parameters": list(v.parameters), "ops": list(v.ops)}
                for v in self.vertices
            ],
            "edges": [[e.source, e.target, _plain(e.when)] for e in self.edges],
            "zero": list(self.zero),
            "leaves_to_output": self.leaves_to_output,
        }

    @staticmethod
    def from_declaration(declaration: Mapping[str, Any]) -> Space:
        """Raises :class:`SpaceError` if the declaration is malformed."""
        try:
            return Space(
                tuple(
                    Parameter(p["name"], tuple(p["choices"]), _condition(p["active"]))
                    for p in declaration["parameters"]
                ),
                tuple(
                    Vertex(v["name"], tuple(v["parameters"]), tuple(v["ops"]))
                    for v in declaration["vertices"]
                ),
                tuple(Edge(s, t, _condition(when)) for s, t, when in declaration["edges"]),
                tuple(declaration["zero"]),
                bool(declaration["leaves_to_output"]),
            )
        except SpaceError:
            raise
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise SpaceError(f"Not a space's declaration: {error!r}.") from error

    @property
    def fingerprint(self) -> str:
        """16 hex digits that are equal for spaces that differ in names only."""
        plain = self.declaration()
        for part in (*plain["parameters"], *plain["vertices"]):
            del part["name"]
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference(self, other: Space) -> str | None:
        """The first way in which ``other`` is another space, in words; None if it is the same."""
        if self.fingerprint == other.fingerprint:
            return None
        if len(self.parameters) != len(other.parameters):
            return f"{len(self.parameters)} parameters against {len(other.parameters)}"
        for mine, theirs in zip(self.parameters, other.parameters, strict=True):
            # As text: True, 1 and 1.0 are equal to Python, but not to Optuna's users.
            if repr(mine.choices) != repr(theirs.choices):
                return (
                    f"parameter {mine.name!r} with choices {mine.choices} against "
                    f"{theirs.name!r} with {theirs.choices}"
                )
            if mine.active != theirs.active:
                return f"parameter {mine.name!r}, which other choices switch on or off"
        return "the same parameters, but another graph over them"


def _plain(condition: Condition | None) -> list[Any] | None:
    return None if condition is None else [condition.parameter, list(condition.choices)]


def _condition(plain: Sequence[Any] | None) -> Condition | None:
    return None if plain is None else Condition(plain[0], tuple(plain[1]))


def _same_graph(a: nx.DiGraph, b: nx.DiGraph) -> bool:
    return dict(a.nodes(data="op")) == dict(b.nodes(data="op")) and set(a.edges) == set(b.edges)
