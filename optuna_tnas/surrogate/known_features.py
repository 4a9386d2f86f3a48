"""Features of architectures that are known before training, on one scale."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from optuna.logging import get_logger
from scipy.special import ndtri
import torch
from torch import Tensor

from optuna_tnas.errors import FeatureError
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.evaluation import Evaluated
from optuna_tnas.spaces.listing import Listing


_logger = get_logger(f"optuna.{__name__}")

ArchitectureFeatures = Callable[[dict[str, Any]], Mapping[str, float]]

_N_REFERENCE = 256  # architectures of a large space that scores are relative to
_MAX_BEYOND = 2.0  # how far scores of a large space go beyond those of the reference


class KnownFeatures:
    """Features of architectures as normal scores over the space, each evaluated once.

    A feature's score is the quantile of the normal distribution that it is among the networks of
    a listed space, or among 256 fixed random architectures of a larger one. Beyond the latter's
    range it goes on in units of their interquartile range, by up to 2. What is missing (NaN)
    scores 0, as the median does. Features that are the same for all of these are left out.

    Args:
        space: The search space.
        function: Given the parameters that a trial would have, it returns numbers by name, the
            same names for all architectures. One architecture is evaluated at once, so that a
            function that does not work is noticed before a trial was spent.

    Raises:
        FeatureError: If the function is no callable, raises, or returns no mapping of names to
            numbers.
    """

    def __init__(self, space: Space, function: ArchitectureFeatures) -> None:
        if not callable(function):
            raise FeatureError(
                f"features cannot be {function!r}; give a function of a trial's parameters that "
                'returns numbers by name, such as lambda params: {"macs": macs_of(params)}.'
            )
        self._space, self._function = space, function
        self._names: tuple[str, ...] = ()
        self._evaluated = Evaluated(space, self._evaluate, "features")
        (first,) = self._evaluated(space.sample(1, np.random.default_rng(0)))
        self._names = tuple(first)

    @cached_property
    def used(self) -> tuple[str, ...]:
        """Names of the ``F`` features that tell architectures apart."""
        found = self._evaluated(self._reference_rows)
        values = {name: {f[name] for f in found if f[name] == f[name]} for name in self._names}
        if same := [name for name in self._names if len(values[name]) < 2]:
            text = "The features %s are the same or missing for all of %d architectures."
            _logger.warning(text, same, len(found))
        return tuple(name for name in self._names if name not in same)

    def __call__(self, X: np.ndarray) -> Tensor:
        """Score ``n x P`` architectures: ``n x F`` float64.

        Raises:
            FeatureError: If the function raises, returns no mapping of names to numbers, or other
                names than for other architectures.
        """
        scores = np.empty((len(X), len(self.used)))
        columns = zip(self._values(X).T, self._reference.T, strict=True)
        for i, (values, reference) in enumerate(columns):
            scores[:, i] = relative_scores(values, reference)
        return torch.from_numpy(scores)

    def _values(self, X: np.ndarray) -> np.ndarray:
        found = [[f[name] for name in self.used] for f in self._evaluated(X)]
        return np.array(found).reshape(len(X), len(self.used))

    @cached_property
    def _reference(self) -> np.ndarray:
        """Values of the architectures that scores are relative to: ``N x F``."""
        return self._values(self._reference_rows)

    @cached_property
    def _reference_rows(self) -> np.ndarray:
        if self._space.enumerable:
            listing = Listing(self._space)
            return np.asarray(listing.X[listing.first])
        return self._space.sample(_N_REFERENCE, np.random.default_rng(0))

    def _evaluate(self, params: dict[str, Any]) -> dict[str, float]:
        found = self._found(params)
        if self._names and set(self._names) != found.keys():
            raise FeatureError(
                f"features returned {list(found)} for {params}, but {list(self._names)} for other "
                "architectures; return the same names for all, and NaN for what is missing."
            )
        return found

    def _found(self, params: dict[str, Any]) -> dict[str, float]:
        try:
            found = self._function(dict(params))
        except Exception as error:
            raise FeatureError(
                f"features raised {error!r} for {params}; return NaN for what cannot be computed."
            ) from error
        try:
            if not found or any(isinstance(value, str) for value in found.values()):
                raise TypeError
            return {str(name): float(value) for name, value in found.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise FeatureError(
                f"features returned {found!r} for {params}; it must return at least one number "
                'by name, such as {"macs": 2.5e8}.'
            ) from error


def relative_scores(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Score ``n`` values by their ranks among ``N`` others; equal ones have equal scores.

    Args:
        values: Numbers, infinite or NaN ones among them; the latter score 0.
        reference: The others, of which NaN is left out; at least one is none.
    """
    known = np.sort(reference[~np.isnan(reference)])
    ranks = (np.searchsorted(known, values, side) for side in ("left", "right"))
    scores = ndtri((sum(ranks) / 2 + 0.5) / (len(known) + 1))
    return np.where(np.isnan(values), 0.0, scores + _beyond(values, known))


def _beyond(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How far values lie outside of the range of others, which are sorted."""
    finite = known[np.isfinite(known)]
    if len(finite) == 0:
        return np.zeros(len(values))
    low, high = np.quantile(finite, [0.25, 0.75])
    with np.errstate(invalid="ignore"):  # infinity less infinity
        outside = values - values.clip(known[0], known[-1])
        return np.nan_to_num(outside / (high - low or 1.0)).clip(-_MAX_BEYOND, _MAX_BEYOND)
