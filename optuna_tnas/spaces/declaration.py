"""What a space is declared with, and what a declaration must not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.graphs import INPUT
from optuna_tnas.spaces.graphs import OUTPUT


Choice = None | bool | int | float | str


@dataclass(frozen=True)
class Condition:
    """Holds when the parameter at position ``parameter`` takes one of the ``choices``."""

    parameter: int
    choices: tuple[int, ...]

    def holds(self, X: np.ndarray) -> np.ndarray:
        """``n x P`` -> ``n`` bool."""
        return np.isin(X[:, self.parameter], self.choices)


@dataclass(frozen=True)
class Parameter:
    """A categorical parameter; ``active`` says when the network depends on it at all."""

    name: str
    choices: tuple[Choice, ...]
    active: Condition | None = None


@dataclass(frozen=True)
class Vertex:
    """An operation; ``ops`` lists its label for every combination of its parameters' choices.

    ``ops`` is in row-major order (the last parameter varies fastest); ``None`` stands for "this
    vertex is absent". A vertex without parameters has one label.
    """

    name: str
    parameters: tuple[int, ...]
    ops: tuple[str | None, ...]


@dataclass(frozen=True)
class Edge:
    """An edge between slots (0 is the input, ``v + 1`` vertex ``v``), present on condition."""

    source: int
    target: int
    when: Condition | None = None


def rename(parameters: Sequence[Parameter], names: Sequence[str] | None) -> tuple[Parameter, ...]:
    """The parameters under the user's names, position by position.

    Raises:
        SpaceError: If there are not as many names as parameters.
    """
    if names is None:
        return tuple(parameters)
    if len(names) != len(parameters):
        raise SpaceError(
            f"{len(names)} names for {len(parameters)} parameters; the space's own names are "
            f"{[p.name for p in parameters]}."
        )
    return tuple(
        Parameter(name, p.choices, p.active) for name, p in zip(names, parameters, strict=True)
    )


def validate(
    parameters: Sequence[Parameter],
    vertices: Sequence[Vertex],
    edges: Sequence[Edge],
    zero: Sequence[str],
) -> None:
    """Raises :class:`SpaceError` if these do not declare a space together."""
    _check_parameters(parameters)
    _check_vertices(vertices, parameters)
    _check_edges(edges, vertices, parameters)
    labels = {op for vertex in vertices for op in vertex.ops}
    unknown = [op for op in zero if op not in labels]
    if unknown:
        raise SpaceError(
            f"The zero operation {unknown[0]!r} is no vertex's; give a sequence of operations, "
            'such as zero=["none"].'
        )


def _check_parameters(parameters: Sequence[Parameter]) -> None:
    _refuse_repeats("parameter name", [p.name for p in parameters])
    for i, parameter in enumerate(parameters):
        if not parameter.choices:
            raise SpaceError(f"Parameter {parameter.name!r} has no choices; give it at least one.")
        _refuse_repeats(f"choice of {parameter.name!r},", parameter.choices)
        _check_condition(f"Parameter {parameter.name!r}", parameter.active, parameters[:i])


def _check_vertices(vertices: Sequence[Vertex], parameters: Sequence[Parameter]) -> None:
    _refuse_repeats("vertex name", [INPUT, *(v.name for v in vertices), OUTPUT])
    for vertex in vertices:
        if not all(0 <= p < len(parameters) for p in vertex.parameters):
            raise SpaceError(
                f"Vertex {vertex.name!r} depends on parameters {list(vertex.parameters)}; "
                f"the space has only 0 to {len(parameters) - 1}."
            )
        n_labels = prod(len(parameters[p].choices) for p in vertex.parameters)
        if len(vertex.ops) != n_labels:
            raise SpaceError(
                f"Vertex {vertex.name!r} declares {len(vertex.ops)} labels for {n_labels} "
                "combinations of choices; give one label each."
            )


def _check_edges(
    edges: Sequence[Edge], vertices: Sequence[Vertex], parameters: Sequence[Parameter]
) -> None:
    names = [INPUT, *(v.name for v in vertices), OUTPUT]
    for edge in edges:
        if not 0 <= edge.source < edge.target < len(names):
            raise SpaceError(
                f"Edge {edge.source} -> {edge.target} does not follow the vertices' order; "
                "declare a vertex after the vertices that it reads."
            )
        _check_condition(f"Edge {edge.source} -> {edge.target}", edge.when, parameters)
    _refuse_repeats("edge", [f"{names[e.source]} -> {names[e.target]}" for e in edges])


def _check_condition(
    owner: str, condition: Condition | None, parameters: Sequence[Parameter]
) -> None:
    """Refuse a condition on anything but a choice of one of ``parameters``."""
    if condition is None:
        return
    if not 0 <= condition.parameter < len(parameters):
        raise SpaceError(
            f"{owner} depends on parameter {condition.parameter}, which is not declared "
            f"before it; it may depend on the first {len(parameters)} only."
        )
    parameter = parameters[condition.parameter]
    if not all(0 <= c < len(parameter.choices) for c in condition.choices):
        raise SpaceError(
            f"{owner} depends on choices {list(condition.choices)} of parameter "
            f"{parameter.name!r}, which has only {len(parameter.choices)}."
        )


def _refuse_repeats(what: str, values: Sequence[object]) -> None:
    repeated = [value for value in values if values.count(value) > 1]
    if repeated:
        raise SpaceError(f"The {what} {repeated[0]!r} is used twice; each must be its own.")
