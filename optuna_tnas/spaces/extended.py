"""A space that holds an earlier, narrower one: new choices, wider ranges, new parameters."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from dataclasses import field
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.distributions import check_distribution_compatibility
from optuna.trial import FrozenTrial

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.space import Space
from optuna_tnas.spaces.wrapped import WrappedSpace


_N_PROBED = 64  # of the narrower space's architectures


@dataclass(frozen=True, eq=False)
class ExtendedSpace(WrappedSpace):
    """A space that knows the narrower one whose studies and checkpoints still count.

    Made by :meth:`Space.extended`. In all else it is the wider space, with its fingerprint.
    Architectures of the narrower one are known by the values of their parameters.

    Attributes:
        narrower: The earlier space.
        added: By the name of each parameter that the narrower space lacks, the value that its
            architectures have.
    """

    narrower: Space
    added: Mapping[str, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_choices(self.narrower, self.whole)
        _check_added(self.added, self.narrower, self.whole)
        probed = self.narrower.sample(_N_PROBED, np.random.default_rng(0))
        translated(probed, self.narrower, self)

    @property
    def earlier(self) -> Iterator[Space]:
        """The narrower spaces that this one holds."""
        yield self.narrower
        yield from self.narrower.earlier
        yield from self.whole.earlier

    @cached_property
    def _added(self) -> Mapping[str, Choice]:
        """The values of all parameters that one of the narrower spaces lacks."""
        before = self.narrower._added if isinstance(self.narrower, ExtendedSpace) else {}
        return {**before, **self.added}

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """Convert parameters of this space or of a narrower one to a row (``P``).

        Raises:
            SpaceError: If they are of neither.
        """
        return self.whole.encode({**self._added, **params})

    def accepts(self, name: str, distribution: BaseDistribution) -> bool:
        """Tell whether a trial of a study may have asked with this distribution."""
        if self.whole.accepts(name, distribution):
            return True
        return self.narrower.accepts(name, distribution) and _may_change(
            distribution, self.distributions()[name]
        )

    def converted(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """Convert finished trials of the narrower space, for ``study.add_trials`` of a new study.

        Optuna refuses other choices in the study that has them. Trials that have not ended, or
        have no architecture of the space, are left out.
        """
        found = []
        for trial in trials:
            try:
                params = self.decode(self.encode(trial.params))
            except SpaceError:
                continue
            if trial.state.is_finished():
                found.append(self._converted(trial, params))
        return found

    def _converted(self, trial: FrozenTrial, params: Mapping[str, Any]) -> FrozenTrial:
        own = self.distributions()
        twin = copy(trial)
        others = {name: v for name, v in trial.params.items() if name not in own}
        twin.params = {**others, **params}
        twin.distributions = {
            name: own.get(name) or trial.distributions[name] for name in twin.params
        }
        return twin


def translated(X: np.ndarray, narrower: Space, wider: Space) -> np.ndarray:
    """Convert ``n x P'`` architectures of a narrower space to the wider one's rows: ``n x P``.

    Raises:
        SpaceError: If one of them is none of the wider space's.
    """
    rows = [_translated(narrower.decode(row), wider) for row in X]
    return np.array(rows, dtype=np.int64).reshape(len(X), len(wider.parameters))


def _translated(params: Mapping[str, Any], wider: Space) -> np.ndarray:
    try:
        return wider.encode(params)
    except SpaceError as error:
        raise SpaceError(
            f"The wider space does not hold the narrower one's architecture {dict(params)}: "
            f"{error} Say what a new parameter is there, extended(wider, added={{name: value}}), "
            "or keep the choices and names as they were."
        ) from error


def _check_choices(narrower: Space, wider: Space) -> None:
    """Refuse a wider space without a parameter or choice of the narrower one."""
    theirs = {p.name: p.choices for p in wider.parameters}
    for parameter in narrower.parameters:
        name = parameter.name
        if name not in theirs:
            raise SpaceError(
                f"The wider space lacks the parameter {name!r} of the narrower one; keep it."
            )
        lost = [c for c in parameter.choices if c not in theirs[name]]
        if lost:
            raise SpaceError(
                f"The wider space lacks the choice {lost[0]!r} of {name!r}, which the narrower "
                "one has; keep it."
            )


def _check_added(added: Mapping[str, Choice], narrower: Space, wider: Space) -> None:
    """Refuse values for what is no new parameter, or none of its choices."""
    old = {p.name for p in narrower.parameters}
    new = {p.name: p.choices for p in wider.parameters if p.name not in old}
    for name, value in added.items():
        if name not in new:
            raise SpaceError(f"added has {name!r}; the new parameters are {list(new)}.")
        if value not in new[name]:
            raise SpaceError(
                f"added has {name!r} = {value!r}, which is not one of its choices {new[name]}."
            )


def _may_change(before: BaseDistribution, after: BaseDistribution) -> bool:
    """Tell whether Optuna lets one study ask with both."""
    try:
        check_distribution_compatibility(before, after)
    except ValueError:
        return False
    return True
