"""Limits on architectures that are known before training."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from optuna_tnas.errors import ConstraintError
from optuna_tnas.search.fixed import decided
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.evaluation import Evaluated


KnownConstraint = Callable[[dict[str, Any]], float]


class KnownConstraints:
    """Functions of an architecture that are to be 0 or less, each evaluated once.

    Args:
        space: The search space.
        functions: By name; each is given the parameters that a trial would have.

    Raises:
        ConstraintError: If the functions are no mapping of names to callables.
    """

    def __init__(
        self, space: Space, functions: Mapping[str, KnownConstraint] | None = None
    ) -> None:
        self._space = space
        self._functions = _checked(functions)
        self._evaluated = Evaluated(space, self._evaluate, "known constraints")

    @property
    def names(self) -> list[str]:
        """The constraints' names."""
        return list(self._functions)

    def under(self, fixed: Fixed) -> KnownConstraints:
        """Return these constraints; none if the fixed choices leave no architecture open."""
        if not self._functions or decided(self._space, fixed) is None:
            return self
        return KnownConstraints(self._space)

    def values(self, X: np.ndarray) -> np.ndarray:
        """Evaluate ``K`` constraints on architectures: ``n x K``.

        Args:
            X: ``n x P`` architectures, or rows that begin with them.

        Raises:
            ConstraintError: If a function raises, or returns NaN or no number.
        """
        return np.array(self._evaluated(X)).reshape(len(X), len(self.names))

    def feasible(self, X: np.ndarray) -> np.ndarray:
        """Tell which of ``n x P`` architectures meet all constraints: ``n`` bool."""
        if not self._functions:
            return np.ones(len(X), dtype=bool)
        return np.asarray((self.values(X) <= 0).all(axis=1))

    def lowest(self, X: np.ndarray) -> np.ndarray:
        """Return each constraint's lowest value among ``n x P`` architectures: ``K``."""
        return np.asarray(self.values(X).min(axis=0, initial=np.inf))

    def violated(self, row: np.ndarray) -> dict[str, float]:
        """Return the values of the constraints that the architecture (``P``) violates."""
        if not self._functions:
            return {}
        values = zip(self.names, self.values(row[None])[0], strict=True)
        return {name: float(value) for name, value in values if value > 0}

    def _evaluate(self, params: dict[str, Any]) -> tuple[float, ...]:
        return tuple(_evaluate(name, f, params) for name, f in self._functions.items())


def _checked(functions: Mapping[str, KnownConstraint] | None) -> dict[str, KnownConstraint]:
    if functions is None:
        return {}
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        raise ConstraintError(
            f"known_constraints cannot be {functions!r}; give names and functions of a trial's "
            'parameters, such as {"params": lambda params: count_parameters(space, params) - 1e6}.'
        )
    return dict(functions)


def _evaluate(name: str, function: KnownConstraint, params: dict[str, Any]) -> float:
    try:
        value = float(function(dict(params)))
    except Exception as error:
        raise ConstraintError(
            f"The known constraint {name!r} raised {error!r} for {params}; it must return a "
            "number, 0 or less where the limit is met, for every architecture of the space."
        ) from error
    if np.isnan(value):
        raise ConstraintError(
            f"The known constraint {name!r} returned NaN for {params}; return a number, 0 or less "
            "where the limit is met, and inf for what cannot be."
        )
    return value
