"""Parameters that no earlier trial was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
import zlib

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.logging import get_logger
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from optuna_tnas.spaces.hyperparameters import compatible
from optuna_tnas.spaces.hyperparameters import coordinate
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.hyperparameters import value
from optuna_tnas.studies import trials


_logger = get_logger(f"optuna.{__name__}")  # so that Optuna's verbosity and handler apply

# The words of Optuna's own samplers, and the reason.
_INDEPENDENT = (
    "The parameter `%s` in Trial#%d is sampled independently using `%s` instead of `TNASSampler`, "
    "potentially degrading the optimization performance. This fallback happened because %s. You "
    "can suppress this warning by setting `warn_independent_sampling` to `False` in the "
    "constructor of `TNASSampler` if this independent sampling is intended behavior."
)


class IndependentParameters:
    """Samples parameters that the model does not: as past studies have them, or at random.

    Args:
        seed: Of what is drawn at random.
        past: Hyper-parameters of past studies.
        sampler: Samples instead, if given.
        why: The reason that a warning gives once a trial has finished; no warning without one.
    """

    def __init__(
        self, seed: int, past: Hyperparameters, sampler: BaseSampler | None, why: str | None
    ) -> None:
        self.sampler = sampler
        self._seed, self._past, self._why = seed, past, why
        self._planned: dict[int, Mapping[str, Any]] = {}  # by trial

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_planned": {}}

    def may_plan(self, study: Study) -> bool:
        """Tell whether past studies had hyper-parameters, and this one may ask for them yet."""
        return len(self._past) > 0 and not trials.any_finished(study)

    def plan(self, trial: FrozenTrial, values: Mapping[str, Any]) -> None:
        """Keep what a trial's hyper-parameters are to be, should it ask for them."""
        self._planned[trial._trial_id] = values

    def forget(self, trial: FrozenTrial) -> None:
        """Drop what was planned for a trial."""
        self._planned.pop(trial._trial_id, None)

    def sample(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Sample a parameter of a trial."""
        if self.sampler is None:
            planned = self._planned_value(trial, name, distribution)
            if planned is not None:
                return planned
        sampler = self.sampler or self._random_sampler(trial, name)
        if self._why is not None and trials.any_finished(study):
            used = type(sampler).__name__
            _logger.warning(_INDEPENDENT, name, trial.number, used, self._why)
        return sampler.sample_independent(study, trial, name, distribution)

    def _planned_value(
        self, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any | None:
        """What the past suggests for a parameter that the study was not asked for before."""
        past = self._past.distributions.get(name)
        planned = self._planned.get(trial._trial_id, {})
        if past is None or name not in planned:
            return None
        if not compatible(past, distribution):
            _logger.warning(
                "The parameter %r is %s in this study and %s in the past studies; what they say "
                "of it is not used. Give it another name if it is another one.",
                *(name, distribution, past),
            )
            return None
        if _is_log(past) != _is_log(distribution):
            _logger.warning(
                "The parameter %r is %s in this study and %s in the past studies; what they say "
                "of it is taken by its value, near values being alike on this study's scale.",
                *(name, distribution, past),
            )
        place = coordinate(distribution, planned[name])
        return None if np.isnan(place) else value(distribution, place)

    def _random_sampler(self, trial: FrozenTrial, name: str) -> RandomSampler:
        """A generator of its own for each value, so that a resumed study does not repeat."""
        words = [self._seed, trial.number, zlib.crc32(name.encode())]
        return RandomSampler(seed=int(np.random.default_rng(words).integers(1 << 32)))


def _is_log(distribution: BaseDistribution) -> bool:
    """Tell whether a distribution is of numbers on the logarithmic scale."""
    return bool(getattr(distribution, "log", False))
