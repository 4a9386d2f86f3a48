"""Tables of runs, as experiment trackers export them, as architectures and values.

W&B, MLflow, Ray Tune, NePS and Optuna put a group before a column's name (``config.op``,
``params.op``, ``config/op``, ``params_op``), and some of them write every value as text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from math import isnan
from typing import Any
from typing import TYPE_CHECKING

import numpy as np

from optuna_tnas.errors import HistoryError
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import Choice


if TYPE_CHECKING:
    from pandas import DataFrame

# What ends the group before a name; Optuna's own is ``params_``.
_SEPARATORS = (".", "/", ":")
_OPTUNA = "params_"
_STATES = ("state", "status")
# By W&B and MLflow, Optuna, NePS, Ray Tune.
_FINISHED = ("finished", "complete", "completed", "success", "terminated")
_EMPTY = ("", "None", "nan", "<NA>")

Columns = Mapping[str, Sequence[Any]]


def read_frame(
    name: str, frame: DataFrame, space: Space, value: str, left_out: Counter[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Read the usable rows: ``n x P`` architectures and ``n`` values; count the others.

    Args:
        name: The frame's name, for messages.
        frame: One row for each run.
        space: The search space.
        value: The values' column, with or without its group.
        left_out: Why rows were left out, and how many; added to.

    Raises:
        HistoryError: If it is no frame, or lacks the values or the space's parameters, or has
            them twice.
    """
    columns = _columns(name, frame)
    values = columns[_column(name, columns, value)]
    found = _parameters(name, columns, [p.name for p in space.parameters])
    others = [c for c in columns if c not in found.values()]
    states = next((columns[c] for c in others if c.lower() in _STATES), None)
    rows, y = [], []
    for i, number in enumerate(map(_number, values)):
        reason = _unusable(number, None if states is None else states[i])
        row = None if reason else _row(space, {p: columns[c][i] for p, c in found.items()})
        if row is None:
            left_out[reason or "rows whose parameters are not the space's"] += 1
        else:
            rows.append(row)
            y.append(number)
    return np.array(rows, dtype=np.int64).reshape(-1, len(space.parameters)), np.array(y)


def _columns(name: str, frame: DataFrame) -> Columns:
    if not hasattr(frame, "columns") or not hasattr(frame, "iloc"):
        raise HistoryError(
            f"{name!r} is a {type(frame).__name__}; give a pandas.DataFrame for each study, "
            "{name: frame}."
        )
    if not frame.columns.is_unique:
        twice = sorted(map(str, frame.columns[frame.columns.duplicated()]))
        raise HistoryError(f"The frame {name!r} has two columns {twice[0]!r}; drop one of them.")
    return {c: frame[c].tolist() for c in frame.columns if isinstance(c, str)}


def _column(name: str, columns: Columns, value: str) -> str:
    """Find the column of this name, with or without a group."""
    matching = [c for c in columns if _group(c, value) is not None]
    if value in columns:
        return value
    if len(matching) != 1:
        found = f"has several, {matching}" if matching else f"has only {list(columns)}"
        raise HistoryError(f"The frame {name!r} needs one column {value!r}; it {found}.")
    return matching[0]


def _group(column: str, name: str) -> str | None:
    """Return what is before the name in a column's; None if it is another one's column."""
    group = column.removesuffix(name)
    ends = not group or group == _OPTUNA or group.endswith(_SEPARATORS)
    return group if column.endswith(name) and ends else None


def _parameters(name: str, columns: Columns, parameters: Sequence[str]) -> dict[str, str]:
    """Find the columns of the space's parameters: those of the group that has the most."""
    groups = Counter(
        group
        for column in columns
        for parameter in parameters
        if (group := _group(column, parameter)) is not None
    )
    if not groups:
        raise HistoryError(
            f"The frame {name!r} has no column for any of the parameters {[*parameters]}, with or "
            f"without a group such as 'config.'; its columns are {list(columns)}. Rename them, or "
            "the space's with names=[...]."
        )
    (best, n), *others = groups.most_common()
    if others and others[0][1] == n:
        raise HistoryError(
            f"The frame {name!r} has the parameters twice, as {best + parameters[0]!r} and "
            f"{others[0][0] + parameters[0]!r}; drop the columns that do not count."
        )
    return {p: best + p for p in parameters if best + p in columns}


def _unusable(number: float, state: Any) -> str | None:
    """Tell why a row is left out before its parameters are looked at."""
    if state is not None and str(state).lower() not in _FINISHED:
        return f"rows that are {str(state).lower()}"
    return "rows without a value" if isnan(number) else None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _row(space: Space, values: Mapping[str, Any]) -> np.ndarray | None:
    """Encode a run's architecture; None if it is none of the space's."""
    params: dict[str, Choice] = {}
    for parameter in space.parameters:
        if parameter.name in values:
            params.update(_chosen(parameter.name, values[parameter.name], parameter.choices))
    try:
        return space.encode(params)
    except SpaceError:
        return None


def _chosen(name: str, value: Any, choices: Iterable[Choice]) -> dict[str, Choice]:
    """Find the choice that a cell stands for, itself or as text; nothing if it is none."""
    known = list(choices)
    for same in (_is, _reads_as, _counts_as):
        for choice in known:
            if same(value, choice):
                return {name: choice}
    return {}


def _is(value: Any, choice: Choice) -> bool:
    return type(value) is type(choice) and bool(value == choice)


def _reads_as(value: Any, choice: Choice) -> bool:
    """Whether a cell is the choice's text, or empty for None."""
    if choice is None:
        return str(value) in _EMPTY
    if isinstance(choice, bool):
        return str(value).lower() == str(choice).lower()
    return str(value) == str(choice)


def _counts_as(value: Any, choice: Choice) -> bool:
    """Whether a cell is the choice's number, as 3.0 or "3.0" is 3."""
    return isinstance(choice, int | float) and _number(value) == choice
