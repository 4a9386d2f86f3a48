"""Functions of an architecture that are known without training, each evaluated once."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.rows import keys


KnownFunction = Callable[[dict[str, Any]], float]

_MAX_KEPT = 1 << 18  # architectures of a large space whose values are kept, some 500 bytes each
PATIENCE = 3.0  # seconds before a progress bar appears


class KnownFunctions:
    """Functions of an architecture's parameters, by name.

    Args:
        space: The search space.
        functions: By name; each is given the parameters that a trial would have.

    Raises:
        OptunaTNASError: If the functions are no mapping of names to callables. It is of the kind
            ``error``, as are those of functions that fail.
    """

    argument: ClassVar[str]  # of the sampler
    kind: ClassVar[str]
    example: ClassVar[str]
    wanted: ClassVar[str]  # of a function
    instead_of_nan: ClassVar[str]
    error: ClassVar[type[OptunaTNASError]]

    def __init__(self, space: Space, functions: Mapping[str, KnownFunction] | None = None) -> None:
        self._space = space
        self._functions = self._checked(functions)
        self._known: dict[bytes, tuple[float, ...]] = {}

    @property
    def names(self) -> list[str]:
        """The functions' names."""
        return list(self._functions)

    def values(self, X: np.ndarray) -> np.ndarray:
        """Evaluate ``K`` functions on architectures: ``n x K``.

        Args:
            X: ``n x P`` architectures, or rows that begin with them.

        Raises:
            OptunaTNASError: If a function raises, or returns NaN or no number.
        """
        if len(self._known) > _MAX_KEPT and not self._space.enumerable:
            self._known.clear()
        X = X[:, : len(self._space.parameters)].astype(np.int64)
        self._evaluate_new(X)
        values = [self._known[key] for key in keys(X)]
        return np.array(values).reshape(len(X), len(self.names))

    def _evaluate_new(self, X: np.ndarray) -> None:
        new = {key: i for i, key in enumerate(keys(X)) if key not in self._known}
        rows = X[list(new.values())]
        active = self._space.active(rows)
        with tqdm(new, f"{self.kind}s", unit="network", delay=PATIENCE, leave=False) as bar:
            for key, row, asked in zip(bar, rows, active, strict=True):
                params = self._params(row, asked)
                self._known[key] = tuple(self._value(name, params) for name in self.names)

    def _params(self, row: np.ndarray, active: np.ndarray) -> dict[str, Any]:
        parts = zip(self._space.parameters, row, active, strict=True)
        return {p.name: p.choices[position] for p, position, asked in parts if asked}

    def _value(self, name: str, params: dict[str, Any]) -> float:
        try:
            value = float(self._functions[name](dict(params)))
        except Exception as error:
            raise self.error(
                f"The {self.kind} {name!r} raised {error!r} for {params}; it must return "
                f"{self.wanted}, for every architecture of the space."
            ) from error
        if np.isnan(value):
            raise self.error(
                f"The {self.kind} {name!r} returned NaN for {params}; return {self.wanted}, and "
                f"{self.instead_of_nan}."
            )
        return value

    def _checked(self, functions: Mapping[str, KnownFunction] | None) -> dict[str, KnownFunction]:
        if functions is None:
            return {}
        if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
            raise self.error(
                f"{self.argument} cannot be {functions!r}; give names and functions of a trial's "
                f"parameters, such as {self.example}."
            )
        return dict(functions)
