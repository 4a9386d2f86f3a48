"""Claims, by which workers see each other's architectures before there are parameters."""

from __future__ import annotations

from itertools import compress
import time

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies.choices import claim_key
from optuna_tnas.studies.observations import Observations
from optuna_tnas.studies.settled import SettledTrials
from optuna_tnas.studies.trials import may_come_again
from optuna_tnas.studies.trials import others_of


# Seconds to wait for a younger trial with the same claim to give way, which takes it one read and
# one write; longer only if its process died in between.
_PATIENCE = 2.0


def claim(study: Study, space: SearchSpace, trial: FrozenTrial, row: np.ndarray) -> None:
    """Tell all workers which architecture (``P``) this trial is about to evaluate."""
    study._storage.set_trial_system_attr(trial._trial_id, claim_key(space), row.tolist())


def share(data: Observations, trial: FrozenTrial) -> float:
    """Tell of which share of the candidates a trial chooses, so as to part from others.

    Older trials of which nothing is known choose at this moment, from the same observations. The
    k-th of those who choose together takes the best of a share of 1 / k: the best ones go to
    different trials mostly, and the first chooses freely.

    A worker that died before its trial's first parameter would seem to choose forever. So only
    as many trials back are counted as are running.
    """
    n_running = len(data.pending) + len(data.choosing)
    recent = range(trial.number - n_running - 1, trial.number)
    return 1 / (1 + sum(number in recent for number in data.choosing))


def give_way(
    study: Study,
    space: SearchSpace,
    trial: FrozenTrial,
    row: np.ndarray,
    settled: SettledTrials | None = None,
    n_retries: int = 0,
) -> int:
    """Withdraw the claim unless the architecture is this trial's alone.

    Every worker writes its claim before it looks for others', so of two equal claims at least
    one worker sees the other's. It gives way to a trial that is older or already evaluates the
    architecture, and waits for a younger one that is still undecided, which will see the older
    claim. So one of those who claim an architecture at the same time keeps it.

    Returns:
        How many other trials have the architecture; 0 if the claim stands.
    """
    deadline = time.monotonic() + _PATIENCE
    settled = settled or SettledTrials()
    while rivals := _rivals(study, space, trial, row, settled, n_retries):
        prevails = any(_decided(t, space) or t.number < trial.number for t in rivals)
        if prevails or time.monotonic() > deadline:
            study._storage.set_trial_system_attr(trial._trial_id, claim_key(space), None)
            return len(rivals)
        time.sleep(0.01)
    return 0


def _rivals(
    study: Study,
    space: SearchSpace,
    trial: FrozenTrial,
    row: np.ndarray,
    settled: SettledTrials,
    n_retries: int,
) -> list[FrozenTrial]:
    """Find the other trials with the same architecture, but for those that may come again."""
    wanted = row.tolist()
    others = others_of(study, trial)
    rows = settled.architectures(study, others, space)
    again = may_come_again(others, rows, n_retries)
    same = [
        other is not None and not comes and other.tolist() == wanted
        for other, comes in zip(rows, again, strict=True)
    ]
    return [*compress(others, same)]


def _decided(trial: FrozenTrial, space: SearchSpace) -> bool:
    """Tell whether the trial's architecture is final.

    Optuna stores parameters once they are chosen. Without a claim, another sampler chose them.
    """
    return (
        trial.state != TrialState.RUNNING
        or trial.system_attrs.get(claim_key(space)) is None
        or not space.distributions().keys().isdisjoint(trial.params)
    )
