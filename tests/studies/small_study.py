"""A small space, and trials of it."""

from __future__ import annotations

import numpy as np
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import FrozenTrial
from optuna.trial import Trial
from optuna.trial import TrialState

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from optuna_tnas.studies import trials
from optuna_tnas.studies.observations import Observations


SPACE = CellSpace([Node("a", ["x", "y", "z"]), Node("b", ["x", "y"], ["a"])])
ROWS = SPACE.enumerate()


def add(study: Study, row: np.ndarray, state: TrialState, value: float | None = None) -> None:
    study.add_trial(
        create_trial(
            state=state,
            value=value,
            params=SPACE.decode(row),
            distributions=SPACE.distributions(),
        )
    )


def running(study: Study) -> tuple[Trial, FrozenTrial]:
    trial = study.ask()
    return trial, frozen(study, trial)


def frozen(study: Study, trial: Trial) -> FrozenTrial:
    return study._storage.get_trial(trial._trial_id)


def read(study: Study) -> Observations:
    return trials.read_study(study, SPACE, running(study)[1])
