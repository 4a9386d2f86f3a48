"""A space from ordinary code: a function that asks a trial, run for every architecture."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
import hashlib
import json
from typing import Any
import zlib

import networkx as nx
import numpy as np
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.trial import BaseTrial

from optuna_tnas.errors import MissingSpaceError
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import returned
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import INPUT
from optuna_tnas.spaces.declaration import OUTPUT
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.graphs import ABSENT
from optuna_tnas.spaces.graphs import GraphBatch
from optuna_tnas.spaces.graphs import MAX_ADJACENCY
from optuna_tnas.spaces.recording import check_same
from optuna_tnas.spaces.recording import Choices
from optuna_tnas.spaces.recording import distribution
from optuna_tnas.spaces.recording import RecordingTrial
from optuna_tnas.spaces.rows import keys
from optuna_tnas.spaces.space import difference
from optuna_tnas.spaces.space import Space
from optuna_tnas.spaces.walk import Build
from optuna_tnas.spaces.walk import name_of
from optuna_tnas.spaces.walk import run
from optuna_tnas.spaces.walk import Walk


_MAX_LISTED = 8192  # architectures, each of which is a run
_MAX_LABELS = 512  # of the vocabulary; an encoder has weights for each
# Places in the vocabulary for operations that no run met, in a space that is too large to list.
_N_UNMET = 16
_MAX_KEPT = 20_000  # architectures whose runs are kept, about a kilobyte each
_N_PROBED = 64  # architectures that a fingerprint is of


@dataclass(frozen=True)
class _Architecture:
    """What a run made of a row.

    Attributes:
        row: ``P`` int64, position 0 where the run did not ask.
        active: Positions of the parameters that the run asked for.
        ops: Position in the vocabulary of each vertex, ``ABSENT`` for zero operations.
        edges: ``m x 2`` int64.
    """

    row: np.ndarray
    active: list[int]
    ops: np.ndarray
    edges: np.ndarray


class DefineByRunSpace(Space):
    """The space of a function; see :meth:`Space.from_define_by_run`.

    Which parameters are active, and what the graph is, tells a run of the function. Runs are
    kept for the architectures met last.

    Args:
        build: Asks a trial, returns an architecture.
        zero: Labels of operations that output zeros.
        n_runs: Runs at random that look for parameters and operations.
    """

    def __init__(self, build: Build, zero: Sequence[Choice] = (), n_runs: int = 1000) -> None:
        if n_runs < 1:
            raise SpaceError(f"n_runs cannot be {n_runs}; give 1 or more.")
        self._build, self.zero = build, tuple(zero)
        walk = Walk(build, n_runs)
        _check_zero(self.zero, walk)
        limit = min(_MAX_LISTED, MAX_ADJACENCY // walk.max_vertices**2)
        # The estimate may be off by some factor; a walk in vain only costs time.
        leaves = walk.leaves(limit) if walk.size <= 2 * limit else None
        self._choices = walk.choices
        self._size = walk.size if leaves is None else len(leaves)
        self._vocabulary = _vocabulary(walk.labels, closed=leaves is not None)
        self._kept: dict[bytes, _Architecture] = {}
        self._positions = {name: i for i, name in enumerate(walk.choices)}
        self.parameters = tuple(
            Parameter(name, tuple(choices), ordered=isinstance(choices, range))
            for name, choices in walk.choices.items()
        )
        self._listed = None if leaves is None else self._sorted([leaf.path for leaf in leaves])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the runs out, which can be done again."""
        return {**vars(self), "_kept": {}}

    def __repr__(self) -> str:
        return f"Space.from_define_by_run({name_of(self._build)})"

    # --- what Optuna sees -------------------------------------------------------------------

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the Optuna distribution of each parameter by name, in the rows' order."""
        return dict(self._distributions)

    @cached_property
    def _distributions(self) -> dict[str, BaseDistribution]:
        return {name: distribution(choices) for name, choices in self._choices.items()}

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask the trial what the function asks; the function itself may be called as well."""

        def answer(name: str, choices: Choices) -> Any:
            self._position_of(name, choices)
            if isinstance(choices, range):
                return trial.suggest_int(name, choices.start, choices[-1], step=choices.step)
            return trial.suggest_categorical(name, choices)

        asking = RecordingTrial(answer)
        self._build(asking)  # what the trial itself raises is none of the function's failures
        return asking.params

    # --- rows of choice positions -----------------------------------------------------------

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert an architecture's parameters to a row of choice positions (``P`` int64).

        Raises:
            SpaceError: If a parameter that the function asks for is missing, or a value is
                not among its choices. Other names are ignored.
        """
        path: dict[str, int] = {}

        def answer(name: str, choices: Choices) -> Any:
            self._position_of(name, choices)
            if name not in params:
                raise SpaceError(
                    f"Parameter {name!r} of the space is missing from {dict(params)}; suggest "
                    "all of them with space.suggest(trial)."
                )
            path[name] = _place(name, params[name], choices)
            return choices[path[name]]

        run(self._build, answer)
        return self._row(path)

    def _sorted(self, paths: Sequence[Mapping[str, int]]) -> np.ndarray:
        rows = [self._row(path) for path in paths]
        return np.unique(np.array(rows).reshape(len(rows), -1), axis=0)

    def _row(self, path: Mapping[str, int]) -> np.ndarray:
        row = np.zeros(len(self.parameters), dtype=np.int64)
        for name, position in path.items():
            row[self._positions[name]] = position
        return row

    def _position_of(self, name: str, choices: Choices) -> int:
        if name not in self._positions:
            raise SpaceError(
                f"The parameter {name!r} was met in none of the runs that made the space, so "
                "few choices lead there; make more, Space.from_define_by_run(build, "
                "n_runs=100_000), or let one choice decide whether it is asked for."
            )
        check_same(name, choices, self._choices[name])
        return self._positions[name]

    def _architecture(self, row: np.ndarray) -> _Architecture:
        key = row.tobytes()
        if key not in self._kept:
            made = self._made(row)
            key = made.row.tobytes()
            if len(self._kept) >= _MAX_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[key] = made
            return made
        return self._kept[key]

    def _made(self, row: np.ndarray) -> _Architecture:
        active: list[int] = []
        chosen = row.tolist()

        def answer(name: str, choices: Choices) -> Any:
            position = self._position_of(name, choices)
            active.append(position)
            return choices[chosen[position]]

        params, result = run(self._build, answer)
        graph = returned.to_sorted(result, params)
        ops = [ABSENT if op in self.zero else self._op(op) for op in graph.labels]
        canonical = np.zeros_like(row)
        canonical[active] = row[active]
        edges = np.array(graph.edges, dtype=np.int64).reshape(-1, 2)
        return _Architecture(canonical, active, np.array(ops, dtype=np.int64), edges)

    def active(self, X: np.ndarray) -> np.ndarray:
        """Mark the parameters that each of ``n x P`` architectures depends on: ``n x P`` bool."""
        active = np.zeros(X.shape, dtype=bool)
        for marks, row in zip(active, np.ascontiguousarray(X, dtype=np.int64), strict=True):
            marks[self._architecture(row).active] = True
        return active

    @property
    def size(self) -> int:
        """Number of different architectures; estimated if the space is too large to be walked."""
        return self._size

    @property
    def enumerable(self) -> bool:
        """Whether all architectures were run when the space was made."""
        return self._listed is not None

    def enumerate(self) -> np.ndarray:
        """List every architecture in lexicographic order: ``size x P``.

        Raises:
            SpaceError: If the space is not :attr:`enumerable`.
        """
        if self._listed is None:
            raise SpaceError(
                f"A space of about {self.size:.3g} architectures cannot be listed; draw some of "
                "them with space.sample(n, rng)."
            )
        return self._listed

    def indices(self, X: np.ndarray) -> np.ndarray:
        """Return the positions of ``n x P`` architectures in :meth:`enumerate`: ``n`` int64."""
        return np.array([self._places[key] for key in keys(X)], dtype=np.int64)

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {key: place for place, key in enumerate(keys(self.enumerate()))}

    # --- graphs -----------------------------------------------------------------------------

    @property
    def vocabulary(self) -> dict[Choice, int]:
        """Operation label -> position; the last ones stand for operations that no run met."""
        return self._vocabulary

    def _op(self, label: Choice) -> int:
        """Find an operation; those without a place of their own share some by hash."""
        known = self._vocabulary.get(label)
        if known is not None:
            return known
        shared = self._shared
        return shared[zlib.crc32(repr(label).encode()) % len(shared)]

    @cached_property
    def _shared(self) -> list[int]:
        shared = [i for op, i in self._vocabulary.items() if str(op).startswith(_UNMET)]
        return shared or [self._vocabulary[INPUT]]

    def to_graphs(self, X: np.ndarray) -> GraphBatch:
        """Build the graphs of ``n x P`` architectures, zero operations removed.

        A batch has as many slots as its largest graph needs.
        """
        made = [self._architecture(row) for row in np.ascontiguousarray(X, dtype=np.int64)]
        n_slots = max((len(a.ops) for a in made), default=2)
        ops = np.full((len(made), n_slots), ABSENT, dtype=np.int64)
        adjacency = np.zeros((len(made), n_slots, n_slots), dtype=bool)
        for b, a in enumerate(made):
            inner = len(a.ops) - 1
            ops[b, :inner], ops[b, -1] = a.ops[:-1], a.ops[-1]
            source, target = a.edges.T
            adjacency[b, source, np.where(target == inner, n_slots - 1, target)] = True
        present = ops != ABSENT
        return GraphBatch(ops, adjacency & present[:, :, None] & present[:, None, :])

    def to_graph(self, params: Mapping[str, Any]) -> nx.DiGraph:
        """Build an architecture's graph: what the function returned, with input and output."""

        def answer(name: str, choices: Choices) -> Any:
            return choices[_place(name, params[name], choices)]

        self.encode(params)
        asked, result = run(self._build, answer)
        return returned.to_sorted(result, asked).to_networkx(result)

    # --- plain data -------------------------------------------------------------------------

    def declaration(self) -> dict[str, Any]:
        """Return plain data by which the space is recognized; it names the function.

        :meth:`Space.from_declaration` reads it back where the space itself is given.
        """
        return {
            "define_by_run": name_of(self._build),
            "parameters": [
                {"name": p.name, "choices": list(p.choices), "ordered": p.ordered}
                for p in self.parameters
            ],
            "fingerprint": self.fingerprint,
        }

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that are equal where choices and sampled architectures are equal."""
        return self._fingerprint(named=False)

    @cached_property
    def named_fingerprint(self) -> str:
        """16 hex digits as :attr:`fingerprint`'s, of the parameters' names too."""
        return self._fingerprint(named=True)

    def _fingerprint(self, *, named: bool) -> str:
        """Hash the choices, the vocabulary, and some architectures up to isomorphism."""
        n_choices = self.n_choices.tolist()
        X = [
            [zlib.crc32(f"{b}/{i}".encode()) % n for i, n in enumerate(n_choices)]
            for b in range(_N_PROBED)
        ]
        rows = np.array(X, dtype=np.int64).reshape(_N_PROBED, -1)
        graphs = [self.to_graphs(row[None]).pruned().hashes().tolist() for row in rows]
        parts = [
            [[p.name if named else "", list(p.choices), p.ordered] for p in self.parameters],
            [repr(op) for op in self._vocabulary],
            graphs,
            self.active(rows).tolist(),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


_UNMET = "an operation that no run met, "


def _vocabulary(labels: set[Choice], *, closed: bool) -> dict[Choice, int]:
    """Number the operations: input, output, then sorted by their text.

    Args:
        labels: Those met.
        closed: Whether there are no others.
    """
    own = sorted(labels - {INPUT, OUTPUT}, key=repr)
    n_shared = 0 if closed else _N_UNMET
    if len(own) > _MAX_LABELS:
        own, n_shared = [], _MAX_LABELS
    shared = [f"{_UNMET}{i}" for i in range(n_shared)]
    return {op: i for i, op in enumerate([INPUT, OUTPUT, *own, *shared])}


def _check_zero(zero: Sequence[Choice], walk: Walk) -> None:
    unknown = [op for op in zero if op not in walk.labels]
    if unknown:
        raise SpaceError(
            f"No run gave the zero operation {unknown[0]!r}; give a sequence of operations, such "
            'as zero=["none"].'
        )


def _place(name: str, value: Any, choices: Choices) -> int:
    """Find the value among the choices as Optuna does, which tells True from 1.

    Raises:
        SpaceError: If it is not among them.
    """
    try:
        if isinstance(choices, tuple):
            return int(CategoricalDistribution(choices).to_internal_repr(value))
        if isinstance(value, int | np.integer):
            return choices.index(int(value))
    except ValueError:
        pass
    raise SpaceError(
        f"Parameter {name!r} has the value {value!r}, which is not one of the space's choices "
        f"{tuple(choices)}."
    )


def recognized(declaration: Mapping[str, Any], space: Space | None) -> Space:
    """Return ``space``, or the narrower one that it extends, which the declaration is of.

    Raises:
        MissingSpaceError: If it is not, or not given.
    """
    name = declaration["define_by_run"]
    remedy = f'load it with the space of {name}: load("meta.pt", space=...)'
    if space is None:
        raise MissingSpaceError(
            f"The search space is the code of {name}, which a checkpoint names but does not "
            f"hold, and which is never imported; import it and {remedy}."
        )
    for candidate in (space, *space.earlier):
        if candidate.fingerprint == declaration["fingerprint"]:
            return candidate
    theirs = [
        Parameter(p["name"], tuple(p["choices"]), ordered=p["ordered"])
        for p in declaration["parameters"]
    ]
    raise MissingSpaceError(
        f"The surrogate was trained on the space of {name}, not on this one or before it was "
        f"changed: {difference(theirs, space.parameters)}; {remedy} as it was, or meta-train "
        "on past studies of this one."
    )
