"""Functions of an architecture that are known without training, each evaluated once."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import numpy as np

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.evaluation import Evaluated


KnownFunction = Callable[[dict[str, Any]], float]


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
        self._evaluated = Evaluated(space, self._evaluate, f"{self.kind}s")

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
        return np.array(self._evaluated(X)).reshape(len(X), len(self.names))

    def _evaluate(self, params: dict[str, Any]) -> tuple[float, ...]:
        return tuple(self._value(name, params) for name in self.names)

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
