"""Read files of the folder that OPTUNA_TNAS_DATA names."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tasks.base import TableError
from optuna_tnas.spaces import Space


def file(name: str) -> Path:
    """Find ``$OPTUNA_TNAS_DATA/tables/<name>``."""
    folder = os.environ.get("OPTUNA_TNAS_DATA")
    if not folder:
        raise TableError(
            f"Set OPTUNA_TNAS_DATA to the folder whose tables/{name} holds this benchmark's "
            "measurements: export OPTUNA_TNAS_DATA=/path/to/data"
        )
    path = Path(folder, "tables", name)
    if not path.exists():
        raise TableError(f"OPTUNA_TNAS_DATA is {folder!r}, but there is no {path}.")
    return path


def table(name: str) -> Any:
    """Read ``tables/<name>.csv.gz`` into a data frame."""
    path = file(f"{name}.csv.gz")
    try:
        import pandas as pd
    except ImportError:
        raise TableError("Tables need pandas: pip install 'optuna-tnas[bench]'") from None
    return pd.read_csv(path, dtype={"ops": str})


def network_of(space: Space, rows: np.ndarray, grids: Sequence[int] = ()) -> np.ndarray:
    """Find the position in ``rows`` of every architecture of a space without conditions.

    Args:
        space: The architectures' space.
        rows: ``n x P`` positions.
        grids: Sizes of the grids whose positions follow the architecture's in a row.
    """
    numbers = np.full((*space.n_choices, *grids), -1)
    numbers[tuple(rows.T)] = np.arange(len(rows))
    if (numbers < 0).any():
        missing = tuple(int(i) for i in np.argwhere(numbers < 0)[0])
        raise TableError(f"The table is incomplete: architecture {missing} is not in it.")
    return numbers


def digits(cells: Iterable[str]) -> np.ndarray:
    """Parse ``["421211", ...]`` into ``n x P``."""
    return np.array([[int(digit) for digit in cell] for cell in cells], dtype=np.int64)
