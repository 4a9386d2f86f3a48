"""A space restricted to a list of its architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial

from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.rows import keys
from optuna_tnas.spaces.space import Space


@dataclass(frozen=True, eq=False)
class SubsetSpace(Space):
    """A space of which only some architectures, such as the measured ones, are suggested.

    In all else it is the whole space, so a surrogate of the one is a surrogate of the other. It
    can be listed, however large the whole space is.

    Attributes:
        whole: The space.
        rows: ``m x P``, in lexicographic order.
    """

    whole: Space
    rows: np.ndarray

    @classmethod
    def of(cls, space: Space, X: np.ndarray) -> SubsetSpace:
        """Restrict ``space`` to the architectures ``n x P``; repeated ones count once."""
        return cls(space, np.unique(X, axis=0))

    @property
    def enumerable(self) -> bool:
        """True: the architectures are listed already."""
        return True

    def enumerate(self) -> np.ndarray:
        """Return the ``m x P`` architectures in lexicographic order."""
        return self.rows

    def indices(self, X: np.ndarray) -> np.ndarray:
        """Return the positions of ``n x P`` architectures among :attr:`rows`: ``n`` int64.

        Raises:
            KeyError: If an architecture is not in the subset.
        """
        return np.array([self._positions[key] for key in keys(X)], dtype=np.int64)

    @cached_property
    def _positions(self) -> dict[bytes, int]:
        return {key: position for position, key in enumerate(keys(self.rows))}

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x P`` architectures, each of the subset equally likely."""
        return np.asarray(self.rows[rng.integers(0, len(self.rows), size=n)])

    # --- as the whole space -----------------------------------------------------------------

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """The whole space's."""
        return self.whole.parameters

    @property
    def zero(self) -> tuple[Choice, ...]:  # type: ignore[override]
        """The whole space's."""
        return self.whole.zero

    @property
    def size(self) -> int:
        """The whole space's."""
        return self.whole.size

    @property
    def vocabulary(self) -> dict[Choice, int]:
        """The whole space's."""
        return self.whole.vocabulary

    @property
    def fingerprint(self) -> str:
        """The whole space's."""
        return self.whole.fingerprint

    @property
    def named_fingerprint(self) -> str:
        """The whole space's."""
        return self.whole.named_fingerprint

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the whole space's."""
        return self.whole.distributions()

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask the trial as the whole space does."""
        return self.whole.suggest(trial)

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert parameters to a row (``P``), in the subset or not."""
        return self.whole.encode(params)

    def active(self, X: np.ndarray) -> np.ndarray:
        """Mark the parameters that each of ``n x P`` architectures depends on: ``n x P`` bool."""
        return self.whole.active(X)

    def to_graphs(self, X: np.ndarray) -> GraphBatch:
        """Build the graphs of ``n x P`` architectures, zero operations removed."""
        return self.whole.to_graphs(X)

    def to_graph(self, params: Mapping[str, Any]) -> nx.DiGraph:
        """Build an architecture's graph."""
        return self.whole.to_graph(params)

    def from_graph(self, graph: nx.DiGraph) -> dict[str, Any]:
        """Return the parameters whose :meth:`to_graph` is ``graph``."""
        return self.whole.from_graph(graph)

    def declaration(self) -> dict[str, Any]:
        """Return the whole space as plain data."""
        return self.whole.declaration()
