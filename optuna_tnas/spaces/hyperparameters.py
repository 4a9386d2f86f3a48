"""Parameters beside the architecture: numbers on a unit scale, and unordered choices.

Notation: the values of ``H`` hyper-parameters are a row of coordinates (``n x H`` float64 for a
batch). A number's coordinate is its position in its range, on the logarithmic scale where its
distribution is, 0.5 for the middle; a choice's is its number among the choices. A hyper-parameter
that a trial does not have is NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
import hashlib
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.distributions import distribution_to_json
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution


Number = FloatDistribution | IntDistribution

# Steps of a number's coordinate to its neighbors.
_STEPS = (-0.2, -0.05, -0.01, 0.01, 0.05, 0.2)
_DIGITS = 12


@dataclass(frozen=True)
class Hyperparameters:
    """Numbers and choices by name.

    Attributes:
        distributions: Optuna's distributions; none that holds one value only.
    """

    distributions: Mapping[str, BaseDistribution]

    def __len__(self) -> int:
        return len(self.distributions)

    @property
    def names(self) -> list[str]:
        """Names, in the order of the coordinates."""
        return list(self.distributions)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that are equal for equal names with equal distributions."""
        texts = [(name, distribution_to_json(d)) for name, d in self.distributions.items()]
        return hashlib.sha256(repr(texts).encode()).hexdigest()[:16]

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert a trial's parameters to coordinates (``H``); NaN for what is missing.

        A number outside its range has a coordinate outside of [0, 1]; a choice that is none of
        the distribution's is missing.
        """
        known = self.distributions.items()
        return np.array([coordinate(d, params[n]) if n in params else np.nan for n, d in known])

    def decode(self, row: np.ndarray) -> dict[str, Any]:
        """Convert coordinates (``H``) to values, without those that are NaN."""
        return {
            name: value(distribution, float(x))
            for (name, distribution), x in zip(self.distributions.items(), row, strict=True)
            if not np.isnan(x)
        }

    def converted(self, rows: np.ndarray, other: Hyperparameters) -> np.ndarray:
        """Convert ``n x H`` coordinates to those of the same values in ``other``: ``n x H'``."""
        found = np.full((len(rows), len(other)), np.nan)
        places = {name: i for i, name in enumerate(self.distributions)}
        for j, (name, theirs) in enumerate(other.distributions.items()):
            if name in places:
                mine = self.distributions[name]
                # Candidates share most values: each is converted once.
                known, inverse = np.unique(rows[:, places[name]], return_inverse=True)
                moved = [
                    np.nan if np.isnan(x) else coordinate(theirs, value(mine, x)) for x in known
                ]
                found[:, j] = np.array(moved)[inverse]
        return found

    def snapped(self, rows: np.ndarray) -> np.ndarray:
        """Move ``n x H`` coordinates to those of the nearest values."""
        return self.converted(rows, self)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x H`` coordinates, each as Optuna would draw its parameter."""
        drawn = rng.random((n, len(self)))
        return self.snapped(np.where(self.n_choices, np.floor(drawn * self.n_choices), drawn))

    def neighbors(self, row: np.ndarray) -> np.ndarray:
        """List coordinates that differ from ``row`` in one hyper-parameter: ``m x H``."""
        rows = []
        for i, n in enumerate(self.n_choices):
            moved = np.arange(n) if n else np.clip(row[i] + np.array(_STEPS), 0, 1)
            rows += [[*row[:i], x, *row[i + 1 :]] for x in moved if x != row[i]]
        return self.snapped(np.array(rows).reshape(-1, len(row)))

    @property
    def n_choices(self) -> np.ndarray:
        """Number of choices of each hyper-parameter, 0 of a number: ``H`` int64."""
        return np.array(
            [
                len(d.choices) if isinstance(d, CategoricalDistribution) else 0
                for d in self.distributions.values()
            ],
            dtype=np.int64,
        )


NONE = Hyperparameters({})


def united(several: Iterable[Hyperparameters]) -> Hyperparameters:
    """Join hyper-parameters, each range the widest; of another kind than the first is left out."""
    joined: dict[str, BaseDistribution] = {}
    for name, distribution in (pair for h in several for pair in h.distributions.items()):
        known = joined.get(name, distribution)
        if compatible(known, distribution):
            joined[name] = _wider(known, distribution)
    return Hyperparameters({name: joined[name] for name in sorted(joined)})


def contradictory(several: Sequence[Hyperparameters]) -> list[str]:
    """Name what is a number in one and a choice in another."""
    joined = united(several).distributions
    pairs = [pair for h in several for pair in h.distributions.items()]
    return sorted({name for name, d in pairs if not compatible(joined[name], d)})


def compatible(one: BaseDistribution, other: BaseDistribution) -> bool:
    """Tell whether both are choices, or both are numbers."""
    return isinstance(one, CategoricalDistribution) == isinstance(other, CategoricalDistribution)


def _wider(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    if isinstance(one, CategoricalDistribution):
        assert isinstance(other, CategoricalDistribution)
        more = [c for c in other.choices if c not in one.choices]
        return CategoricalDistribution([*one.choices, *more]) if more else one
    assert isinstance(one, Number) and isinstance(other, Number)
    if (other.low, other.high) == (one.low, one.high):
        return one
    low, high = min(one.low, other.low), max(one.high, other.high)
    log = one.log and low > 0
    if isinstance(one, IntDistribution) and isinstance(other, IntDistribution):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def coordinate(distribution: BaseDistribution, value: Any) -> float:
    """Convert a value to its coordinate; NaN for what is no number or none of the choices."""
    if isinstance(distribution, CategoricalDistribution):
        known = value in distribution.choices
        return float(distribution.choices.index(value)) if known else float("nan")
    assert isinstance(distribution, Number)
    if not isinstance(value, int | float) or (distribution.log and value <= 0):
        return float("nan")
    low, high = _ends(distribution)
    # Rounded, so that a value has one coordinate, whatever coordinate it was made from.
    return round(float((_scaled(distribution, value) - low) / (high - low)), _DIGITS)


def value(distribution: BaseDistribution, coordinate: float) -> Any:
    """Convert a coordinate to the nearest value of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(coordinate)]
    assert isinstance(distribution, Number)
    low, high = _ends(distribution)
    scaled = low + min(max(coordinate, 0.0), 1.0) * (high - low)
    number = np.exp(scaled) if distribution.log else 2 * scaled
    if distribution.step is not None:
        steps = round((number - distribution.low) / distribution.step)
        number = distribution.low + steps * distribution.step
    number = min(max(number, distribution.low), distribution.high)
    return int(number) if isinstance(distribution, IntDistribution) else float(number)


def _ends(distribution: Number) -> tuple[float, float]:
    """The ends of the unit scale: half a step beyond the range, so that all values are alike."""
    half = (distribution.step or 0) / 2
    ends = (distribution.low - half, distribution.high + half)
    return _scaled(distribution, ends[0]), _scaled(distribution, ends[1])


def _scaled(distribution: Number, value: float) -> float:
    """On the scale on which the range is uniform; halved, since the longest range overflows."""
    return float(np.log(value)) if distribution.log else value / 2
