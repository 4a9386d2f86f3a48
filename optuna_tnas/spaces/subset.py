"""A space restricted to a list of its architectures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optuna_tnas.spaces.rows import keys
from optuna_tnas.spaces.space import Space
from optuna_tnas.spaces.wrapped import WrappedSpace


@dataclass(frozen=True, eq=False)
class SubsetSpace(WrappedSpace):
    """A space of which only some architectures, such as the measured ones, are suggested.

    In all else it is the whole space. It can be listed, however large the whole space is.

    Attributes:
        rows: ``m x P``, in lexicographic order.
    """

    rows: np.ndarray

    @classmethod
    def of(cls, space: Space, X: np.ndarray) -> SubsetSpace:
        """Restrict ``space`` to the architectures ``n x P``; repeated ones count once."""
        return cls(space, np.unique(X, axis=0))

    @property
    def enumerable(self) -> bool:
        """True: the architectures are listed already."""
        return True

    def enumerate(self) -> np.ndarray:
        """Return the ``m x P`` architectures in lexicographic order."""
        return self.rows

    def indices(self, X: np.ndarray) -> np.ndarray:
        """Return the positions of ``n x P`` architectures among :attr:`rows`: ``n`` int64.

        Raises:
            KeyError: If an architecture is not in the subset.
        """
        return np.array([self._positions[key] for key in keys(X)], dtype=np.int64)

    @cached_property
    def _positions(self) -> dict[bytes, int]:
        return {key: position for position, key in enumerate(keys(self.rows))}

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x P`` architectures, each of the subset equally likely."""
        return np.asarray(self.rows[rng.integers(0, len(self.rows), size=n)])
