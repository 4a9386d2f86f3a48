"""The parts of a declared space, made plain and checked for consistency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property
from math import isnan
from math import prod
from operator import index

import numpy as np

from optuna_tnas.errors import SpaceError


Choice = None | bool | int | float | str

INPUT = "input"
OUTPUT = "output"


@dataclass(frozen=True)
class Condition:
    """Holds when the parameter at position ``parameter`` takes one of the ``choices``."""

    parameter: int
    choices: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameter", index(self.parameter))
        object.__setattr__(self, "choices", tuple(map(index, self.choices)))

    def holds(self, X: np.ndarray) -> np.ndarray:
        """Evaluate the condition on ``n x P`` architectures: ``n`` bool."""
        chosen = X[:, self.parameter]
        return np.logical_or.reduce([chosen == choice for choice in self.choices])


@dataclass(frozen=True)
class Parameter:
    """A discrete parameter; ``active`` says when the network depends on it at all.

    If it is ``ordered``, choices near each other in the list are taken to be alike. Choices that
    are numpy scalars, or members of an enumeration of strings or numbers, become the plain
    Python values that they stand for.

    Raises:
        SpaceError: If a choice is none of these, nor None, bool, int, float or str.
    """

    name: str
    choices: tuple[Choice, ...]
    active: Condition | None = None
    ordered: bool = False

    def __post_init__(self) -> None:
        name = plain_value(self.name, "a parameter's name")
        choices = tuple(plain_value(c, f"a choice of {name!r}") for c in self.choices)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "choices", choices)

    def near(self, position: int) -> list[int]:
        """List the choices that a search tries next to the one at ``position``.

        Those 1, 2, 4, ... places away if they are ordered, else all others.
        """
        n = len(self.choices)
        if not self.ordered:
            return [choice for choice in range(n) if choice != position]
        steps = [sign << k for k in range(n.bit_length()) for sign in (-1, 1)]
        return [position + step for step in steps if 0 <= position + step < n]


@dataclass(frozen=True)
class Vertex:
    """An operation; ``ops`` lists its label for every combination of its parameters' choices.

    ``ops`` is in row-major order (the last parameter varies fastest); ``None`` stands for "this
    vertex is absent". A vertex without parameters has one label. Labels become plain Python
    values as a :class:`Parameter`'s choices do.

    Raises:
        SpaceError: As a :class:`Parameter`.
    """

    name: str
    parameters: tuple[int, ...]
    ops: tuple[Choice, ...]

    def __post_init__(self) -> None:
        name = plain_value(self.name, "a vertex's name")
        ops = tuple(plain_value(op, f"an operation of {name!r}") for op in self.ops)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parameters", tuple(map(index, self.parameters)))
        object.__setattr__(self, "ops", ops)


@dataclass(frozen=True)
class Edge:
    """An edge between slots (0 is the input, ``v + 1`` vertex ``v``), present on condition."""

    source: int
    target: int
    when: Condition | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", index(self.source))
        object.__setattr__(self, "target", index(self.target))


def plain_value(value: object, role: str) -> Choice:
    """Convert a scalar to the plain Python value that it stands for.

    Args:
        value: A plain value, a numpy scalar, or an instance of a subclass of str, int or float.
        role: Names the value in the error.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # str() of an enumeration's member may give its name
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if isnan(value):
            raise SpaceError(
                f"{role[0].upper()}{role[1:]} is NaN, which no value equals; give None or a str."
            )
        return float(value)
    raise SpaceError(
        f"{role[0].upper()}{role[1:]} is {value!r}, of type {type(value).__name__}; give a str, "
        "int, float, bool or None, such as the object's name."
    )


@dataclass(frozen=True)
class Declaration:
    """A search space as it is declared: parameters, and the DAG over them.

    Attributes:
        parameters: The categorical parameters that Optuna suggests.
        vertices: The operations, in topological order.
        edges: Between the input (0), the vertices (1, 2, ...) and the output (last).
        zero: Labels of operations that output zeros and so cut every path through them.
        leaves_to_output: Whether vertices that no other vertex reads feed the output.

    Raises:
        SpaceError: If the parts do not fit together.
    """

    parameters: tuple[Parameter, ...]
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    zero: tuple[Choice, ...] = ()
    leaves_to_output: bool = False

    def __post_init__(self) -> None:
        zero = tuple(plain_value(op, "a zero operation") for op in self.zero)
        object.__setattr__(self, "zero", zero)
        _check_parameters(self.parameters)
        _check_vertices(self.vertices, self.parameters)
        _check_edges(self.edges, self.vertices, self.parameters)
        _check_zero(self.zero, self.vertices)

    @property
    def slots(self) -> list[str]:
        """The names of a graph's slots: the input, the vertices, the output."""
        return [INPUT, *(v.name for v in self.vertices), OUTPUT]

    @cached_property
    def vocabulary(self) -> dict[Choice, int]:
        """Operation label -> position: input, output, then labels in declaration order."""
        labels = [INPUT, OUTPUT, *(op for v in self.vertices for op in v.ops if op is not None)]
        return {op: i for i, op in enumerate(dict.fromkeys(labels))}


def rename(parameters: Sequence[Parameter], names: Sequence[str] | None) -> tuple[Parameter, ...]:
    """Give the parameters the user's names, position by position.

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
    return tuple(replace(p, name=name) for name, p in zip(names, parameters, strict=True))


def _check_parameters(parameters: Sequence[Parameter]) -> None:
    refuse_repeats("parameter name", [p.name for p in parameters])
    for i, parameter in enumerate(parameters):
        if not parameter.choices:
            raise SpaceError(f"Parameter {parameter.name!r} has no choices; give it at least one.")
        refuse_repeats(f"choice of {parameter.name!r},", parameter.choices)
        _check_condition(f"Parameter {parameter.name!r}", parameter.active, parameters[:i])


def _check_vertices(vertices: Sequence[Vertex], parameters: Sequence[Parameter]) -> None:
    refuse_repeats("vertex name", [INPUT, *(v.name for v in vertices), OUTPUT])
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
    refuse_repeats("edge", [f"{names[e.source]} -> {names[e.target]}" for e in edges])


def _check_zero(zero: Sequence[Choice], vertices: Sequence[Vertex]) -> None:
    labels = {op for vertex in vertices for op in vertex.ops}
    unknown = [op for op in zero if op not in labels]
    if unknown:
        raise SpaceError(
            f"The zero operation {unknown[0]!r} is no vertex's; give a sequence of operations, "
            'such as zero=["none"].'
        )


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


def refuse_repeats(what: str, values: Sequence[object]) -> None:
    """Raise :class:`SpaceError` if a value is there twice; ``what`` says what the values are."""
    repeated = [value for value in values if values.count(value) > 1]
    if repeated:
        raise SpaceError(f"The {what} {repeated[0]!r} is used twice; each must be its own.")
