"""TNASPruner: stop trainings that the sampler's model expects little of."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.experimental import warn_experimental
from optuna_tnas.sampler import TNASSampler
from optuna_tnas.studies import trials


# A new architecture's expected improvement is the greatest of many estimates, so on average too
# great.
_BELIEVED = 0.5


class TNASPruner(BasePruner):
    """Prunes a trial if to begin another one is expected to gain more for the same training.

    With each report the sampler's model is fitted to the study, what unfinished trainings
    reported included. Let ``e`` be the expected improvement of this trial's architecture over the
    best completed trial, ``r`` the share of a training that is left, and ``e'`` the greatest
    expected improvement of an architecture that was not tried. The trial is pruned if
    ``e / r < e' / 2``: half, since the greatest of many estimates is on average too great. Nothing
    is pruned before a trial has completed, whose last report is the end of a training.

    It works with any sampler's study whose trials have the space's parameters::

        study = optuna.create_study(sampler=sampler, pruner=TNASPruner(sampler))

    ``optuna.pruners.PatientPruner`` makes it patient.

    Args:
        sampler: Has the space, what past studies taught and the data set.
        n_warmup_steps: Steps of a trial during which it is not pruned.

    Raises:
        OptunaTNASError: If the sampler does not learn from unfinished trials.
    """

    def __init__(self, sampler: TNASSampler, *, n_warmup_steps: int = 0) -> None:
        warn_experimental("`TNASPruner`")
        if not sampler.learns_from_unfinished:
            raise OptunaTNASError(
                "TNASPruner needs a sampler that learns from unfinished trials: one with "
                "consider_pruned_trials=True, and not of the preset 'paper'."
            )
        self._sampler = sampler
        self._n_warmup_steps = n_warmup_steps

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Decide whether the trial, which has reported something, is to end."""
        step = trial.last_step
        if step is None or step < self._n_warmup_steps:
            return False
        everything = trials.all_of(study)
        end = _last_step(everything)
        if end is None or step >= end:
            return False
        improvements = self._sampler.reader.improvements(study, trial, everything)
        if improvements is None:
            return False
        finishing, new = improvements
        return finishing < (1 - step / end) * _BELIEVED * new


def _last_step(everything: Sequence[FrozenTrial]) -> int | None:
    """The last step of all completed trials; None if none has reported."""
    completed = (t for t in everything if t.state == TrialState.COMPLETE)
    return max((t.last_step for t in completed if t.last_step is not None), default=None)
