"""A trial's architecture: its parameters, what was enqueued, or what a sampler chose."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from itertools import count
import json
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from optuna_tnas.errors import SpaceError
from optuna_tnas.errors import StudyError
from optuna_tnas.spaces.joint import architectures_of
from optuna_tnas.spaces.joint import SearchSpace


# A claim is a list of choice positions rather than values, in one attribute, so that a reader
# never meets half of it: Optuna 5's storages hold at least 65,535 bytes in one (MySQL's TEXT),
# which is 20,000 parameters. The attribute's name ends with the space's fingerprint, so that
# claims of another space's architectures are not seen.
_CLAIM = "tnas:architecture:"
# Where Optuna keeps what ``enqueue_trial`` fixed.
_ENQUEUED = "fixed_params"
# Where Optuna's samplers keep what they chose for a running trial, as JSON in numbered pieces.
_RELATIVE = ("gp:relative_params", "tpe:relative_params")


def architecture(trial: FrozenTrial, space: SearchSpace) -> np.ndarray | None:
    """Return the architecture (``P``) that the trial evaluates or is going to; None without one.

    Raises:
        StudyError: If the trial has a parameter of the space's with other choices.
    """
    _check_choices(trial, space)
    return encoded(_params(trial, space), space)


def _params(trial: FrozenTrial, space: SearchSpace) -> Mapping[str, Any]:
    """Return the parameters that the trial has, was enqueued with or has claimed."""
    if trial.state.is_finished():
        return given(trial)
    return {**_relative(trial), **_claimed(trial, space), **given(trial)}


def _claimed(trial: FrozenTrial, space: SearchSpace) -> Mapping[str, Any]:
    """Return what the trial has claimed; nothing if that is no row of the space."""
    claim = trial.system_attrs.get(claim_key(space))
    if not isinstance(claim, list):
        return {}
    choices = [range(len(p.choices)) for p in architectures_of(space).parameters]
    try:
        possible = all(c in known for c, known in zip(claim, choices, strict=False))
        return space.decode(np.array(claim), inactive=True) if possible else {}
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return {}  # no sampler wrote that


def _relative(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return what another sampler chose for the trial; nothing if only a part is written yet."""
    for key in _RELATIVE:
        try:
            params = json.loads("".join(_pieces(trial, key)))
        except (ValueError, RecursionError):
            continue
        if isinstance(params, dict):
            return params
    return {}


def _pieces(trial: FrozenTrial, key: str) -> Iterator[str]:
    for i in count():
        piece = trial.system_attrs.get(f"{key}:{i}")
        if not isinstance(piece, str):
            return
        yield piece


def _check_choices(trial: FrozenTrial, space: SearchSpace) -> None:
    own = architectures_of(space)
    for name, expected in own.distributions().items():
        found = trial.distributions.get(name, expected)
        if found != expected and not own.accepts(name, found):
            raise StudyError(
                f"In trial {trial.number} the parameter {name!r} is {found}, in the sampler's "
                f"space it is {expected}. Use the space that the study was made with, another "
                "study, or other parameter names (names=[...]). For a space that grew, see "
                "Space.extended: a new study takes wider.converted(study.trials)."
            )


def given(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the parameters that the trial already has: enqueued and suggested ones."""
    return {**enqueued(trial), **trial.params}


def enqueued(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the parameters that the trial was enqueued with."""
    fixed = trial.system_attrs.get(_ENQUEUED)
    return fixed if isinstance(fixed, dict) else {}


def encoded(params: Mapping[str, Any], space: SearchSpace) -> np.ndarray | None:
    """Convert a trial's parameters to an architecture (``P``); None if they are not one."""
    try:
        return space.encode(params)
    except SpaceError:
        return None


def has_claimed(trial: FrozenTrial) -> bool:
    """Tell whether a sampler of this package chose the trial's architecture."""
    attributes = trial.system_attrs.items()
    return any(key.startswith(_CLAIM) and value is not None for key, value in attributes)


def claim_key(space: SearchSpace) -> str:
    """Name the attribute that holds a trial's claim."""
    return _CLAIM + space.named_fingerprint
