"""A space's declaration as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import hashlib
import json
from typing import Any

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Declaration
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex


def to_plain(declaration: Declaration) -> dict[str, Any]:
    """Convert a declaration to dicts, lists and scalars; :func:`from_plain` reads them back."""
    return {
        "parameters": [_parameter_to_plain(p) for p in declaration.parameters],
        "vertices": [
            {"name": v.name, "parameters": list(v.parameters), "ops": list(v.ops)}
            for v in declaration.vertices
        ],
        "edges": [[e.source, e.target, _plain(e.when)] for e in declaration.edges],
        "zero": list(declaration.zero),
        "leaves_to_output": declaration.leaves_to_output,
    }


def from_plain(plain: Mapping[str, Any]) -> Declaration:
    """Rebuild a declaration from :func:`to_plain`.

    Raises:
        SpaceError: If the data is malformed or the declaration inconsistent.
    """
    try:
        return _declaration(plain)
    except SpaceError:
        raise
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise SpaceError(f"Not a space's declaration: {error!r}.") from error


def _declaration(plain: Mapping[str, Any]) -> Declaration:
    return Declaration(
        tuple(
            Parameter(
                p["name"],
                tuple(p["choices"]),
                _condition(p["active"]),
                bool(p.get("ordered", False)),  # of few declarations
            )
            for p in plain["parameters"]
        ),
        tuple(
            Vertex(v["name"], tuple(v["parameters"]), tuple(v["ops"])) for v in plain["vertices"]
        ),
        tuple(Edge(s, t, _condition(when)) for s, t, when in plain["edges"]),
        tuple(plain["zero"]),
        bool(plain["leaves_to_output"]),
    )


def fingerprint(declaration: Declaration, *, named: bool) -> str:
    """Hash a declaration to 16 hex digits.

    Args:
        declaration: The declaration.
        named: Whether the names of parameters and vertices count; if not, declarations that
            differ in names only have the same hash.
    """
    plain = to_plain(declaration)
    if not named:
        for part in (*plain["parameters"], *plain["vertices"]):
            del part["name"]
    text = json.dumps(plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parameter_to_plain(parameter: Parameter) -> dict[str, Any]:
    active = _plain(parameter.active)
    plain = {"name": parameter.name, "choices": list(parameter.choices), "active": active}
    return plain | ({"ordered": True} if parameter.ordered else {})


def _plain(condition: Condition | None) -> list[Any] | None:
    return None if condition is None else [condition.parameter, list(condition.choices)]


def _condition(plain: Sequence[Any] | None) -> Condition | None:
    return None if plain is None else Condition(plain[0], tuple(plain[1]))
