"""The interface of a search space: parameters on one side, labeled DAGs on the other.

Notation: an architecture is a row of choice positions, one per parameter (``n x P`` int64 for a
batch); a parameter that the other choices switch off holds position 0, so equal architectures
are equal rows.
"""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial

from optuna_tnas.errors import SpaceError
from optuna_tnas.experimental import warn_experimental
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.graphs import GraphBatch


if TYPE_CHECKING:
    from optuna_tnas.spaces.extended import ExtendedSpace


class Space(ABC):
    """A search space of DAGs over discrete parameters.

    Usually one of :class:`NASBench201Space`, :class:`MobileNetV3Space`, :class:`CellSpace`, or
    what :meth:`from_define_by_run` makes of a function that asks a trial.

    Attributes:
        parameters: What Optuna suggests, in the order of a row's columns.
        zero: Labels of operations that output zeros and so cut every path through them.
    """

    parameters: tuple[Parameter, ...]
    zero: tuple[Choice, ...]

    # --- how spaces are made ----------------------------------------------------------------

    @staticmethod
    def from_define_by_run(
        build: Callable[[BaseTrial], Any], *, zero: Sequence[Choice] = (), n_runs: int = 1000
    ) -> Space:
        """Make the space of a function that asks a trial and returns an architecture.

        ``build`` may branch and loop over ``trial.suggest_categorical`` and
        ``trial.suggest_int``. It is run, never read: on the way to every choice that it is seen
        to offer, and at random. It returns

        - a ``networkx.DiGraph`` with the node attribute ``op``. A node of ``op`` ``"input"`` and
          one of ``op`` ``"output"`` are added unless there are; the input feeds what reads
          nothing else, the output reads what nothing else does;
        - or a list of operations, which is a chain;
        - or None: then every parameter asked for is an operation ``"<name>=<value>"`` between
          the input and the output.

        Integers are ordered choices: near values are taken to be alike.

        Args:
            build: Gives the same architecture for the same choices.
            zero: Labels of operations that output zeros and so cut every path through them.
            n_runs: Runs at random. More of them find parameters that only rare combinations
                of choices ask for.

        Raises:
            SpaceError: If ``build`` asks for a float, fails, is not deterministic, asks for one
                name with different choices, or returns something else.
        """
        from optuna_tnas.spaces.define_by_run import DefineByRunSpace

        warn_experimental("`Space.from_define_by_run`")
        return DefineByRunSpace(build, zero, n_runs)

    @staticmethod
    def from_declaration(declaration: Mapping[str, Any], space: Space | None = None) -> Space:
        """Rebuild a space from :meth:`declaration`.

        Args:
            declaration: Plain data.
            space: The space itself where its declaration names code, which is never imported.

        Raises:
            SpaceError: If the declaration is malformed.
            MissingSpaceError: If the declaration names code and ``space`` is not given, or is
                another one.
        """
        from optuna_tnas.spaces.declared import DeclaredSpace
        from optuna_tnas.spaces.define_by_run import recognized

        if isinstance(declaration, Mapping) and "define_by_run" in declaration:
            return recognized(declaration, space)
        return DeclaredSpace.of(declaration)

    def extended(
        self, wider: Space, *, added: Mapping[str, Choice] | None = None
    ) -> ExtendedSpace:
        """Return ``wider``, for which the studies and checkpoints of this space still count.

        Args:
            wider: Has this space's parameters, by name, with at least their choices.
            added: By the name of each new parameter that ``wider`` asks for on this space's
                architectures, the value that they have.

        Raises:
            SpaceError: If ``wider`` does not hold this space's architectures.
        """
        from optuna_tnas.spaces.extended import ExtendedSpace

        warn_experimental("`Space.extended`")
        return ExtendedSpace(wider, self, dict(added or {}))

    @property
    def earlier(self) -> Iterable[Space]:
        """The narrower spaces whose studies and checkpoints count; see :meth:`extended`."""
        return ()

    # --- what Optuna sees -------------------------------------------------------------------

    @abstractmethod
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the Optuna distribution of each parameter by name, in the rows' order."""

    def accepts(self, name: str, distribution: BaseDistribution) -> bool:
        """Tell whether a trial of a study may have asked with this distribution."""
        return self.distributions().get(name) == distribution

    @abstractmethod
    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask the trial for the parameters that the network depends on."""

    # --- rows of choice positions -----------------------------------------------------------

    def positions(self, params: Mapping[str, Any]) -> dict[int, float]:
        """Find the given parameters in a row: column -> position; only what is a choice."""
        return {
            i: float(p.choices.index(params[p.name]))
            for i, p in enumerate(self.parameters)
            if p.name in params and params[p.name] in p.choices
        }

    @property
    def n_choices(self) -> np.ndarray:
        """Number of choices of each parameter: ``P`` int64."""
        return np.array([len(p.choices) for p in self.parameters], dtype=np.int64)

    @abstractmethod
    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert an architecture's parameters to a row of choice positions (``P`` int64).

        Raises:
            SpaceError: If a parameter that the network depends on is missing, or a value is
                not among the choices. Other names are ignored.
        """

    def decode(self, row: np.ndarray, *, inactive: bool = False) -> dict[str, Any]:
        """Convert a row (``P``) to parameters; those switched off only if ``inactive``."""
        active = self.active(row[None])[0]
        return {
            p.name: p.choices[int(position)]
            for p, position, asked in zip(self.parameters, row, active, strict=True)
            if asked or inactive
        }

    @abstractmethod
    def active(self, X: np.ndarray) -> np.ndarray:
        """Mark the parameters that each of ``n x P`` architectures depends on: ``n x P`` bool."""

    def canonical(self, X: np.ndarray) -> np.ndarray:
        """Set every switched-off parameter of ``n x P`` rows to position 0."""
        return np.where(self.active(X), X, 0)

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of different architectures."""

    @property
    @abstractmethod
    def enumerable(self) -> bool:
        """Whether the space is small enough to be listed and scored whole."""

    @abstractmethod
    def enumerate(self) -> np.ndarray:
        """List every architecture in lexicographic order: ``size x P``.

        Raises:
            SpaceError: If the space is not :attr:`enumerable`.
        """

    @abstractmethod
    def indices(self, X: np.ndarray) -> np.ndarray:
        """Number ``n x P`` architectures: ``n`` int64 that ascend in lexicographic order.

        Different architectures have different numbers, which may leave gaps. The space must be
        :attr:`enumerable`.
        """

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x P`` architectures, each parameter uniform as Optuna would draw it."""
        return self.canonical(rng.integers(0, self.n_choices, size=(n, len(self.parameters))))

    def neighbors(
        self, row: np.ndarray, at_most: int | None = None, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """List the architectures that differ from ``row`` in one active choice: ``m x P``.

        An ordered parameter changes by 1, 2, 4, ... positions, any other to every choice.

        Args:
            row: ``P``.
            at_most: If there are more changes, so many are drawn by ``rng``.
            rng: Draws them; a generator of seed 0 unless given.
        """
        changes = [
            (i, choice)
            for i in np.flatnonzero(self.active(row[None])[0])
            for choice in self.parameters[i].near(int(row[i]))
        ]
        if at_most is not None and len(changes) > at_most:
            rng = rng or np.random.default_rng(0)
            drawn = rng.choice(len(changes), size=at_most, replace=False)
            changes = [changes[k] for k in drawn]
        if not changes:
            return np.empty((0, len(row)), dtype=np.int64)
        X = np.tile(row, (len(changes), 1))
        X[np.arange(len(changes)), [i for i, _ in changes]] = [choice for _, choice in changes]
        return np.unique(self.canonical(X), axis=0)

    # --- graphs -----------------------------------------------------------------------------

    @property
    @abstractmethod
    def vocabulary(self) -> dict[Choice, int]:
        """Operation label -> position, input and output first."""

    @abstractmethod
    def to_graphs(self, X: np.ndarray) -> GraphBatch:
        """Build the graphs of ``n x P`` architectures, zero operations removed.

        Operations on no path from input to output are still there; see
        :meth:`GraphBatch.pruned`.
        """

    @abstractmethod
    def to_graph(self, params: Mapping[str, Any]) -> nx.DiGraph:
        """Build an architecture's graph, a DAG of operations with node attribute ``op``.

        An edge means that one operation reads the other's result. Zero operations are kept;
        :func:`prune` removes them.
        """

    def from_graph(self, graph: nx.DiGraph) -> dict[str, Any]:
        """Return the parameters whose :meth:`to_graph` is ``graph`` (nodes named as declared).

        Raises:
            SpaceError: If the graph is not one of the space's, or the space is not declared.
        """
        raise SpaceError(
            f"A {type(self).__name__} cannot tell the choices from a graph; keep the parameters, "
            "of which to_graph(params) makes it."
        )

    # --- plain data -------------------------------------------------------------------------

    @abstractmethod
    def declaration(self) -> dict[str, Any]:
        """Return the space as plain data; :meth:`from_declaration` reads it back."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """16 hex digits that are equal for spaces that differ in names only."""

    @property
    @abstractmethod
    def named_fingerprint(self) -> str:
        """16 hex digits that are equal for spaces that are equal, names included."""

    def difference(self, other: Space) -> str | None:
        """Describe how ``other`` differs, in words; None if in names at most."""
        if self.fingerprint == other.fingerprint:
            return None
        return difference(self.parameters, other.parameters)


def difference(mine: Sequence[Parameter], other: Sequence[Parameter]) -> str:
    """Describe in words how two spaces differ: their first other parameter, or their graphs."""
    if len(mine) != len(other):
        return f"{len(mine)} parameters against {len(other)}"
    for own, their in zip(mine, other, strict=True):
        # As text: True, 1 and 1.0 are equal to Python, but not to Optuna's users.
        if repr(own.choices) != repr(their.choices):
            return (
                f"parameter {own.name!r} with choices {own.choices} against "
                f"{their.name!r} with {their.choices}"
            )
        if own.ordered != their.ordered:
            return f"parameter {own.name!r}, whose choices are ordered in one of them only"
        if own.active != their.active:
            return f"parameter {own.name!r}, which other choices switch on or off"
    return "the same parameters, but another graph over them"
