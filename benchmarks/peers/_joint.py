"""Architecture and hyper-parameters in one row of numbers, which peers search as a space."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from math import log
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.distributions import IntDistribution

from benchmarks.peers import Setting
from benchmarks.peers._mutation import mutate
from benchmarks.peers._one_hot import one_hot
from optuna_tnas.spaces import Space


STEP = 0.2  # standard deviation of a number's step, as a share of its range


def searched_space(setting: Setting) -> Space | JointSpace:
    """Return what a method searches: architectures, with hyper-parameters if there are any."""
    if setting.hyperparameters:
        return JointSpace(setting.space, setting.hyperparameters)
    return setting.space


class JointSpace:
    """A space of ``P`` float64 rows; it has those of :class:`Space`'s methods that peers use.

    A row has the positions of the architecture's choices, then the hyper-parameters: of a
    category the position of its choice, of a number the share of its range that lies below it
    (in logarithms if the distribution says so).
    """

    enumerable = False

    def __init__(self, space: Space, hyperparameters: Mapping[str, BaseDistribution]) -> None:
        self._space = space
        self._hyperparameters = dict(hyperparameters)
        self._n = len(space.parameters)  # of the architecture
        self.parameters = [*(p.name for p in space.parameters), *hyperparameters]
        self._is_number = np.array(
            [not isinstance(d, CategoricalDistribution) for d in self.distributions().values()]
        )

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the distribution of each parameter by name, in the row's order."""
        return {**self._space.distributions(), **self._hyperparameters}

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert parameters to a row."""
        others = [_place(d, params[name]) for name, d in self._hyperparameters.items()]
        return np.concatenate([self._space.encode(params), np.array(others, dtype=np.float64)])

    def decode(self, row: np.ndarray, *, inactive: bool = False) -> dict[str, Any]:
        """Convert a row to parameters; integers are rounded."""
        named = zip(self._hyperparameters.items(), row[self._n :], strict=True)
        others = {name: _value(d, float(place)) for (name, d), place in named}
        return self._space.decode(self._positions(row), inactive=inactive) | others

    def _positions(self, X: np.ndarray) -> np.ndarray:
        """Return the architecture's part of rows as choice positions."""
        return X[..., : self._n].astype(np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n x P`` rows, each parameter uniform on its scale."""
        others = [_draw(d, n, rng) for d in self._hyperparameters.values()]
        return np.column_stack([self._space.sample(n, rng), *others])

    def perturb(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change two parameters in the mean of each of ``n x P`` rows.

        A choice is drawn anew; a number moves by a normal step within its range.
        """
        drawn = self.sample(len(rows), rng)
        moved = np.clip(rows + STEP * rng.normal(size=rows.shape), 0, 1)
        new = np.where(self._is_number, moved, drawn)
        changed = np.where(rng.random(rows.shape) < 2 / rows.shape[1], new, rows)
        architectures = self._space.canonical(self._positions(changed))
        return np.column_stack([architectures, changed[:, self._n :]])

    def child(self, parent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change one parameter of a row: another choice, or a new number of the whole range."""
        positions, row = self._positions(parent), parent.copy()
        active = self._space.active(positions[None])[0] & (self._space.n_choices > 1)
        drawn = int(rng.integers(active.sum() + len(self._hyperparameters)))
        if (i := drawn - active.sum()) < 0:
            row[: self._n] = mutate(self._space, positions[None], rng)[0]
            return row
        row[self._n + i] = _other(list(self._hyperparameters.values())[i], row[self._n + i], rng)
        return row

    def features(self, X: np.ndarray) -> np.ndarray:
        """Encode ``n x P`` rows for a kernel on numbers: choices one-hot, numbers as they are."""
        columns = [one_hot(self._space, self._positions(X))]
        for d, column in zip(self._hyperparameters.values(), X[:, self._n :].T, strict=True):
            if isinstance(d, CategoricalDistribution):
                columns.append(np.eye(len(d.choices))[column.astype(np.int64)])
            else:
                columns.append(column[:, None])
        return np.concatenate(columns, axis=1)


# --- a hyper-parameter ----------------------------------------------------------------------


def _place(d: BaseDistribution, value: Any) -> float:
    """Convert a value to its column of a row."""
    if isinstance(d, CategoricalDistribution):
        return float(d.to_internal_repr(value))
    low, high, x = (log(v) if d.log else v for v in (d.low, d.high, value))
    return (x - low) / (high - low)


def _value(d: BaseDistribution, place: float) -> Any:
    """Convert a column of a row to the value; numbers in steps are rounded."""
    if isinstance(d, CategoricalDistribution):
        return d.choices[int(place)]
    low, high = (log(v) if d.log else v for v in (d.low, d.high))
    x = low + place * (high - low)
    x = exp(x) if d.log else x
    if d.step is not None:
        x = d.low + round((x - d.low) / d.step) * d.step
    x = min(max(x, d.low), d.high)
    return int(x) if isinstance(d, IntDistribution) else x


def _draw(d: BaseDistribution, n: int, rng: np.random.Generator) -> np.ndarray:
    if isinstance(d, CategoricalDistribution):
        return rng.integers(len(d.choices), size=n).astype(np.float64)
    return rng.random(n)


def _other(d: BaseDistribution, place: float, rng: np.random.Generator) -> float:
    """Draw another choice, or a number of the whole range."""
    if isinstance(d, CategoricalDistribution):
        return float(rng.choice(np.delete(np.arange(len(d.choices)), int(place))))
    return float(rng.random())
