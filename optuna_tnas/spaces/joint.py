"""Architectures together with the hyper-parameters of their training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.space import Space


@dataclass(frozen=True)
class JointSpace:
    """The product of a space and hyper-parameters, with the methods that a search needs.

    A row holds an architecture's ``P`` choice positions and ``H`` coordinates, float64.

    Attributes:
        space: The architectures.
        hyperparameters: What is searched beside them; at least one.
    """

    space: Space
    hyperparameters: Hyperparameters

    @cached_property
    def named_fingerprint(self) -> str:
        """16 hex digits that are equal for equal spaces, names included."""
        return self.space.named_fingerprint[:8] + self.hyperparameters.fingerprint[:8]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the architecture's distributions, which a study may not change."""
        return self.space.distributions()

    def split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take rows apart: ``n x P`` int64 choice positions and ``n x H`` coordinates."""
        P = len(self.space.parameters)
        return rows[:, :P].astype(np.int64), rows[:, P:]

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert a trial's parameters to a row.

        Raises:
            SpaceError: If they hold no architecture of the space.
        """
        architecture = self.space.encode(params)
        return np.concatenate([architecture, self.hyperparameters.encode(params)])

    def decode(self, row: np.ndarray, *, inactive: bool = False) -> dict[str, Any]:
        """Convert a row to parameters; choices that are switched off only if ``inactive``."""
        X, H = self.split(row[None])
        architecture = self.space.decode(X[0], inactive=inactive)
        return {**architecture, **self.hyperparameters.decode(H[0])}

    def positions(self, params: Mapping[str, Any]) -> dict[int, float]:
        """Find the given parameters in a row: column -> value; what is no choice is left out."""
        P = len(self.space.parameters)
        values = enumerate(self.hyperparameters.encode(params), start=P)
        known = {i: float(x) for i, x in values if not np.isnan(x)}
        return {**self.space.positions(params), **known}

    def canonical(self, rows: np.ndarray) -> np.ndarray:
        """Set every switched-off choice to position 0."""
        X, H = self.split(rows)
        return np.concatenate([self.space.canonical(X), H], axis=1)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n`` rows."""
        drawn = (self.space.sample(n, rng), self.hyperparameters.sample(n, rng))
        return np.concatenate(drawn, axis=1)

    def neighbors(
        self, row: np.ndarray, at_most: int | None = None, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """List rows that differ in one active choice or one hyper-parameter.

        Args:
            row: ``P + H``.
            at_most: At most so many of other architectures, drawn by ``rng``.
            rng: A generator.
        """
        X, H = self.split(row[None])
        architectures = self.space.neighbors(X[0], at_most, rng)
        values = self.hyperparameters.neighbors(H[0])
        return np.concatenate(
            [
                np.concatenate([architectures, H.repeat(len(architectures), axis=0)], axis=1),
                np.concatenate([X.repeat(len(values), axis=0), values], axis=1),
            ]
        )


SearchSpace = Space | JointSpace


def architectures_of(space: SearchSpace) -> Space:
    """Return the space of the architectures alone."""
    return space.space if isinstance(space, JointSpace) else space
