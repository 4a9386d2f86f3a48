"""A space of which only some architectures can be had: those that were measured."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from functools import cached_property

import numpy as np

from optuna_tnas.spaces.space import Space


@dataclass(frozen=True)
class Measured(Space):
    """A space of which only the measured architectures are to be suggested.

    It is declared as the whole space is, so a surrogate of the one is a surrogate of the other.
    However large the whole space is, this one can be listed.

    Attributes:
        rows: ``m x P``, in lexicographic order.
    """

    rows: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), compare=False, repr=False)

    @classmethod
    def of(cls, space: Space, X: np.ndarray) -> Measured:
        """The architectures of ``space`` that are among ``n x P``."""
        declared = {f.name: getattr(space, f.name) for f in fields(space) if f.init}
        return cls(**declared, rows=np.unique(X, axis=0))

    @property
    def enumerable(self) -> bool:
        """Always."""
        return True

    def enumerate(self) -> np.ndarray:
        """``m x P``: every measured architecture, in lexicographic order."""
        return self.rows

    def codes(self, X: np.ndarray) -> np.ndarray:
        """``n`` int64: the places among :attr:`rows`, which hold all ``n x P``."""
        return np.array([self._places[row.tobytes()] for row in X], dtype=np.int64)

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {row.tobytes(): place for place, row in enumerate(self.rows)}

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``n x P``: random measured architectures, each equally likely."""
        return np.asarray(self.rows[rng.integers(0, len(self.rows), size=n)])
