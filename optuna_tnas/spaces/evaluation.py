"""Functions of an architecture's parameters, called once for each architecture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Generic
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from optuna_tnas.spaces.rows import keys
from optuna_tnas.spaces.space import Space


Value = TypeVar("Value")

MAX_KEPT = 1 << 18  # architectures of a large space whose values are kept, some 500 bytes each
PATIENCE = 3.0  # seconds before a progress bar appears


class Evaluated(Generic[Value]):
    """Keeps what a function says of each architecture, so that it is asked once.

    Args:
        space: The search space.
        function: Of the parameters that a trial would have, such as ``trial.params``.
        title: Of the progress bar that appears if it takes long.
    """

    def __init__(
        self, space: Space, function: Callable[[dict[str, Any]], Value], title: str
    ) -> None:
        self._space, self._function, self._title = space, function, title
        self._kept: dict[bytes, Value] = {}

    def __call__(self, X: np.ndarray) -> list[Value]:
        """Evaluate ``n x P`` architectures, or rows that begin with them: ``n`` values."""
        if len(self._kept) > MAX_KEPT and not self._space.enumerable:
            self._kept.clear()
        X = X[:, : len(self._space.parameters)].astype(np.int64)
        self._evaluate_new(X)
        return [self._kept[key] for key in keys(X)]

    def _evaluate_new(self, X: np.ndarray) -> None:
        new = {key: i for i, key in enumerate(keys(X)) if key not in self._kept}
        rows = X[list(new.values())]
        active = self._space.active(rows)
        with tqdm(new, self._title, unit="network", delay=PATIENCE, leave=False) as bar:
            for key, row, asked in zip(bar, rows, active, strict=True):
                self._kept[key] = self._function(self._params(row, asked))

    def _params(self, row: np.ndarray, active: np.ndarray) -> dict[str, Any]:
        parts = zip(self._space.parameters, row, active, strict=True)
        return {p.name: p.choices[position] for p, position, asked in parts if asked}
