"""A space that is declared: parameters, vertices and edges, over which all is vectorized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from functools import cached_property
from math import prod
from typing import Any

import networkx as nx
import numpy as np
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.trial import BaseTrial

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import graphs
from optuna_tnas.spaces import serialization
from optuna_tnas.spaces.declaration import Declaration
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.space import Space


# A listed space is encoded at once and scored whole in every suggestion. The bounds keep that
# within some 10 s for the first suggestion and 1 GB, on one thread: both grow with the number of
# networks, the time to tell networks apart and to encode them with the square of the slots too.
_MAX_NETWORKS = 50_000


@dataclass(frozen=True)
class DeclaredSpace(Declaration, Space):
    """A search space of DAGs over categorical parameters, each active on one condition at most.

    Usually built by :class:`NASBench201Space`, :class:`MobileNetV3Space` or :class:`CellSpace`.
    """

    _distributions: dict[str, CategoricalDistribution] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        distributions = {p.name: CategoricalDistribution(p.choices) for p in self.parameters}
        object.__setattr__(self, "_distributions", distributions)

    # --- what Optuna sees -------------------------------------------------------------------

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the Optuna distribution of each parameter by name, in the declaration's order."""
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
        """Tell whether the network depends on ``parameter``, given the parameters before it."""
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

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert an architecture's parameters to a row of choice positions (``P`` int64).

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

    def active(self, X: np.ndarray) -> np.ndarray:
        """Mark the parameters that each of ``n x P`` architectures depends on: ``n x P`` bool."""
        active = np.ones(X.shape, dtype=bool)
        for i, parameter in enumerate(self.parameters):
            if parameter.active is not None:
                active[:, i] = parameter.active.holds(X) & active[:, parameter.active.parameter]
        return active

    @property
    def size(self) -> int:
        """Number of different architectures."""
        roots = [i for i, p in enumerate(self.parameters) if p.active is None]
        return prod(self._count(i) for i in roots)

    def _count(self, i: int) -> int:
        """Count the assignments of parameter ``i`` and all that depends on it."""
        children = [
            (k, p.active.choices)
            for k, p in enumerate(self.parameters)
            if p.active is not None and p.active.parameter == i
        ]
        return sum(
            prod(self._count(k) for k, choices in children if c in choices)
            for c in range(len(self.parameters[i].choices))
        )

    @cached_property
    def enumerable(self) -> bool:
        """Whether the space is small enough to be listed and scored whole.

        That is decided by the number of its networks (isomorphism classes of pruned graphs) and
        by the size of the adjacency matrices of all assignments of choices.
        """
        assignments = prod(len(p.choices) for p in self.parameters)
        if assignments * len(self.slots) ** 2 > graphs.MAX_ADJACENCY:
            return False
        if self.size <= _MAX_NETWORKS:
            return True
        networks, _ = self.to_graphs(self._listed()).pruned().classes()
        return len(networks) <= _MAX_NETWORKS

    def enumerate(self) -> np.ndarray:
        """List every architecture in lexicographic order: ``size x P``.

        Raises:
            SpaceError: If the space is not :attr:`enumerable`.
        """
        if not self.enumerable:
            raise SpaceError(
                f"A space of {self.size:.3g} architectures with up to {len(self.vertices)} "
                "operations cannot be listed; draw some of them with space.sample(n, rng)."
            )
        return self._listed()

    def _listed(self) -> np.ndarray:
        shape = tuple(len(p.choices) for p in self.parameters)
        X = np.indices(shape, dtype=np.int64).reshape(len(shape), prod(shape)).T
        return np.asarray(X[(self.canonical(X) == X).all(axis=1)])

    def indices(self, X: np.ndarray) -> np.ndarray:
        """Number ``n x P`` architectures: ``n`` int64 that ascend in lexicographic order.

        Different architectures have different numbers, which may leave gaps. The space must be
        :attr:`enumerable`.
        """
        return np.asarray(np.ravel_multi_index(tuple(X.T), tuple(self.n_choices)))

    # --- graphs -----------------------------------------------------------------------------

    def to_graphs(self, X: np.ndarray) -> GraphBatch:
        """Build the graphs of ``n x P`` architectures, zero operations removed.

        Operations on no path from input to output are still there; see
        :meth:`GraphBatch.pruned`.
        """
        return graphs.without_zeros(self, graphs.declared_graphs(self, X))

    def to_graph(self, params: Mapping[str, Any]) -> nx.DiGraph:
        """Build an architecture's graph, a DAG of operations with node attribute ``op``.

        Nodes are the declared vertices plus ``"input"`` and ``"output"``; an edge means that
        one operation reads the other's result. Zero operations are kept, so that
        :meth:`from_graph` gives the parameters back; :func:`prune` removes them.
        """
        return graphs.to_networkx(self, self.encode(params))

    def from_graph(self, graph: nx.DiGraph) -> dict[str, Any]:
        """Return the parameters whose :meth:`to_graph` is ``graph`` (nodes named as declared).

        Raises:
            SpaceError: If the graph is not one of the space's.
        """
        row = graphs.from_networkx(self, graph)
        if row is not None:
            params = self.decode(self.canonical(row[None])[0])
            if graphs.same_graph(self.to_graph(params), graph):
                return params
        raise SpaceError(
            f"The graph with operations {dict(graph.nodes(data='op'))} is not one of the space's."
        )

    # --- plain data -------------------------------------------------------------------------

    def declaration(self) -> dict[str, Any]:
        """Return the space as plain data; :meth:`from_declaration` reads it back."""
        return serialization.to_plain(self)

    @staticmethod
    def of(declaration: Mapping[str, Any]) -> DeclaredSpace:
        """Rebuild a space from :meth:`declaration`.

        Raises:
            SpaceError: If the declaration is malformed.
        """
        declared = serialization.from_plain(declaration)
        return DeclaredSpace(**{f.name: getattr(declared, f.name) for f in fields(Declaration)})

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that are equal for spaces that differ in names only."""
        return serialization.fingerprint(self, named=False)

    @cached_property
    def named_fingerprint(self) -> str:
        """16 hex digits that are equal for spaces that are equal, names included."""
        return serialization.fingerprint(self, named=True)
