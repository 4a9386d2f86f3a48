"""Limits on architectures that are known before training."""

from __future__ import annotations

import numpy as np

from optuna_tnas.errors import ConstraintError
from optuna_tnas.search.fixed import decided
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.known import KnownFunctions


class KnownConstraints(KnownFunctions):
    """Functions of an architecture that are to be 0 or less, each evaluated once.

    Arguments and errors as for :class:`~optuna_tnas.search.known.KnownFunctions`.
    """

    argument = "known_constraints"
    kind = "known constraint"
    example = '{"params": lambda params: count_parameters(space, params) - 1e6}'
    wanted = "a number, 0 or less where the limit is met"
    instead_of_nan = "inf for what cannot be"
    error = ConstraintError

    def under(self, fixed: Fixed) -> KnownConstraints:
        """Return these constraints; none if the fixed choices leave no architecture open."""
        if not self._functions or decided(self._space, fixed) is None:
            return self
        return KnownConstraints(self._space)

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
