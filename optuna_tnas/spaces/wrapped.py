"""A space that is another one in all that a subclass does not override."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial

from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.space import Space


@dataclass(frozen=True, eq=False)
class WrappedSpace(Space):
    """The base of spaces that differ from another one in few points.

    A surrogate of the one is a surrogate of the other.

    Attributes:
        whole: The other space.
    """

    whole: Space

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

    @property
    def earlier(self) -> Iterable[Space]:
        """The whole space's."""
        return self.whole.earlier

    @property
    def enumerable(self) -> bool:
        """The whole space's."""
        return self.whole.enumerable

    def enumerate(self) -> np.ndarray:
        """List the whole space's architectures in lexicographic order: ``size x P``."""
        return self.whole.enumerate()

    def indices(self, X: np.ndarray) -> np.ndarray:
        """Number ``n x P`` architectures as the whole space does: ``n`` int64."""
        return self.whole.indices(X)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x P`` architectures as the whole space does."""
        return self.whole.sample(n, rng)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the whole space's."""
        return self.whole.distributions()

    def accepts(self, name: str, distribution: BaseDistribution) -> bool:
        """Tell what the whole space does of a distribution."""
        return self.whole.accepts(name, distribution)

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask the trial as the whole space does."""
        return self.whole.suggest(trial)

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert parameters to a row (``P``) as the whole space does."""
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
