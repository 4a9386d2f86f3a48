from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna

from optuna_tnas.studies import claims
from optuna_tnas.studies import trials
from optuna_tnas.studies.settled import SettledTrials
from tests.studies.small_study import ROWS
from tests.studies.small_study import running
from tests.studies.small_study import SPACE


def test_what_is_kept_reads_as_anew_whatever_a_trial_does_next():
    study, settled = optuna.create_study(), SettledTrials()
    trial, current = running(study)
    steps: list[Callable[[], object]] = [
        lambda: claims.claim(study, SPACE, current, ROWS[1]),
        lambda: claims.claim(study, SPACE, current, ROWS[2]),
        lambda: trial.suggest_categorical("op_a", ["x", "y", "z"]),
        lambda: claims.claim(study, SPACE, current, ROWS[3]),
        lambda: trial.suggest_categorical("op_b", list(SPACE.parameters[1].choices)),
        lambda: claims.claim(study, SPACE, current, ROWS[4]),
        lambda: study.tell(trial, 1.0),
    ]
    for step in steps:
        step()
        kept = trials.read_study(study, SPACE, None, settled)
        anew = trials.read_study(study, SPACE, None)
        for name in ("X", "y", "pending", "avoided"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(anew, name))
