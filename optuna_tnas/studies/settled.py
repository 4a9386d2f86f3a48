"""What was read of trials and does not change any more."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial

from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies.choices import architecture
from optuna_tnas.studies.curves import Curve
from optuna_tnas.studies.values import sign_of


_UNCONSTRAINED: dict[str, float] = {}  # one for all: the garbage collector visits each


class SettledTrials:
    """The architectures, constraints and reports of trials, once they do not change any more.

    They are kept as long as their storage, so that a suggestion reads only what is new. Nothing
    but the time depends on what is kept.
    """

    def __init__(self) -> None:
        self._rows: WeakKeyDictionary[BaseStorage, dict[str, dict[int, np.ndarray | None]]]
        self._rows = WeakKeyDictionary()
        self._constraints: WeakKeyDictionary[BaseStorage, dict[int, dict[str, float]]]
        self._constraints = WeakKeyDictionary()
        self._curves: WeakKeyDictionary[BaseStorage, dict[int, Curve | None]]
        self._curves = WeakKeyDictionary()

    def architectures(
        self, study: Study, trials: Sequence[FrozenTrial], space: SearchSpace
    ) -> list[np.ndarray | None]:
        """Return each trial's :func:`architecture`."""
        rows = self._rows.setdefault(study._storage, {}).setdefault(space.named_fingerprint, {})
        names = space.distributions().keys()
        found = []
        for trial in trials:
            # Parameters never change either; a claim may, until all of them are there.
            settled = trial.state.is_finished() or names <= trial.params.keys()
            if not settled:
                found.append(architecture(trial, space))
                continue
            if trial._trial_id not in rows:
                rows[trial._trial_id] = architecture(trial, space)
            found.append(rows[trial._trial_id])
        return found

    def constraints(self, study: Study, trials: Sequence[FrozenTrial]) -> dict[str, np.ndarray]:
        """Return the values of ``n`` completed trials by the constraint's name: ``n`` float64.

        NaN stands for what is missing.
        """
        kept = self._constraints.setdefault(study._storage, {})
        for trial in trials:
            if trial._trial_id not in kept:
                kept[trial._trial_id] = _constraints(trial) or _UNCONSTRAINED
        found = [kept[trial._trial_id] for trial in trials]
        names = sorted(set().union(*found))
        return {name: np.array([values.get(name, np.nan) for values in found]) for name in names}

    def curves(self, study: Study, trials: Sequence[FrozenTrial]) -> list[Curve | None]:
        """Return what each trial reported."""
        kept, sign = self._curves.setdefault(study._storage, {}), sign_of(study)
        for trial in trials:
            if trial.state.is_finished() and trial._trial_id not in kept:
                kept[trial._trial_id] = Curve.of(trial, sign)
        return [kept[t._trial_id] if t.state.is_finished() else Curve.of(t, sign) for t in trials]


def _constraints(trial: FrozenTrial) -> dict[str, float]:
    """Return a trial's constraints, without what is no number."""
    try:
        return {n: v for n, v in trial.constraints.items() if isinstance(v, int | float)}
    except TypeError:  # the attribute is no list
        return {}
