from __future__ import annotations

import numpy as np
import optuna
from optuna.trial import create_trial
from optuna.trial import TrialState
import pytest

from optuna_tnas.errors import StudyError
from optuna_tnas.studies import claims
from optuna_tnas.studies import trials
from optuna_tnas.studies.settled import SettledTrials
from tests.studies.small_study import add
from tests.studies.small_study import read
from tests.studies.small_study import ROWS
from tests.studies.small_study import running
from tests.studies.small_study import SPACE


@pytest.mark.parametrize(("direction", "sign"), [("minimize", -1), ("maximize", 1)])
def test_every_state_has_its_place(direction, sign):
    study = optuna.create_study(direction=direction)
    add(study, ROWS[0], TrialState.COMPLETE, 2.0)
    add(study, ROWS[1], TrialState.PRUNED)
    add(study, ROWS[2], TrialState.FAIL)
    add(study, ROWS[3], TrialState.COMPLETE, float("inf"))
    SPACE.suggest(study.ask(fixed_distributions=SPACE.distributions()))
    suggested = SPACE.encode(study.trials[-1].params)
    study.enqueue_trial(SPACE.decode(ROWS[5]))
    waiting = study.trials[-1]
    data = trials.read_study(study, SPACE, waiting)
    assert np.array_equal(data.X, ROWS[[0, 3]])
    assert data.y.tolist() == [2.0 * sign, np.inf * sign]
    assert np.array_equal(data.pending, [suggested])
    assert np.array_equal(data.avoided, [*ROWS[:4], suggested])


def test_failed_architectures_may_come_again_until_they_failed_too_often():
    study = optuna.create_study()
    for n, row in enumerate(ROWS[:4]):
        for _ in range(n):
            add(study, row, TrialState.FAIL)
    add(study, ROWS[1], TrialState.PRUNED)
    current = running(study)[1]
    for n_retries, avoided in ((0, {1, 2, 3}), (1, {1, 2, 3}), (2, {1, 3}), (3, {1})):
        data = trials.read_study(study, SPACE, current, n_retries=n_retries)
        assert set(map(tuple, data.avoided)) == {tuple(ROWS[i]) for i in avoided}
        kept = [
            not claims.give_way(study, SPACE, current, r, n_retries=n_retries) for r in ROWS[:4]
        ]
        assert [i for i, k in enumerate(kept) if not k] == sorted(avoided)


def test_failed_architectures_are_told_where_they_are_learned_from():
    study = optuna.create_study()
    add(study, ROWS[0], TrialState.COMPLETE, 1.0)
    for row in (*ROWS[1:3], ROWS[1]):
        add(study, row, TrialState.FAIL)
    study.tell(study.ask(), state=TrialState.FAIL)  # before it had an architecture
    current = running(study)[1]
    assert trials.read_study(study, SPACE, current).failed is None
    data = trials.read_study(study, SPACE, current, learns_from_failures=True)
    assert np.array_equal(data.failed, ROWS[[1, 2, 1]])
    assert data.n_failed == 3
    assert data.n_begun == 1 + len(data.pending) + 3


def test_constraints_of_completed_trials_are_read_by_name():
    study = optuna.create_study()
    for row, limits in zip(ROWS, [{"ms": 2.0}, {}, {"MB": -1.0, "ms": 0.0}], strict=False):
        trial = study.ask(fixed_distributions=SPACE.distributions())
        for name, value in limits.items():
            trial.set_constraint(name, value)
        study.tell(trial, float(row.sum()))
    study.ask().set_constraint("of a running trial", 1.0)
    settled, current = SettledTrials(), running(study)[1]
    for _ in range(2):  # read, and kept
        found = trials.read_study(study, SPACE, current, settled).constraints
        assert list(found) == ["MB", "ms"]
        np.testing.assert_array_equal(found["ms"], [2.0, np.nan, 0.0])
        np.testing.assert_array_equal(found["MB"], [np.nan, np.nan, -1.0])


def test_enqueued_architectures_are_avoided_by_others():
    study = optuna.create_study()
    study.enqueue_trial(SPACE.decode(ROWS[5]))
    study.enqueue_trial({"op_a": "x"})
    partial = study.trials[1]
    assert np.array_equal(trials.read_study(study, SPACE, partial).avoided, ROWS[[5]])


def test_an_empty_study_has_empty_arrays():
    data = read(optuna.create_study())
    assert data.X.shape == data.pending.shape == data.avoided.shape == (0, 2)
    assert data.y.shape == (0,)


def test_trials_without_an_architecture_do_not_count():
    study = optuna.create_study()
    study.add_trial(create_trial(value=1.0))
    study.tell(study.ask(), 1.0)
    half = study.ask()
    half.suggest_categorical("op_a", ["x", "y", "z"])
    assert len(read(study).avoided) == 0


def test_other_choices_are_refused_by_name():
    study = optuna.create_study()
    study.ask().suggest_categorical("op_a", ["x", "other"])
    with pytest.raises(StudyError, match=r"'op_a'.*other.*'x', 'y', 'z'"):
        read(study)


def test_a_claim_is_pending_until_the_trial_ends_without_it():
    study = optuna.create_study()
    trial, current = running(study)
    claims.claim(study, SPACE, current, ROWS[4])
    assert np.array_equal(read(study).pending, ROWS[[4]])
    study.tell(trial, state=TrialState.FAIL)
    assert len(read(study).avoided) == 0


def test_running_trials_choose_until_anything_is_known_of_them() -> None:
    study = optuna.create_study()
    silent = running(study)[1]
    claims.claim(study, SPACE, running(study)[1], ROWS[0])
    running(study)[0].suggest_float("lr", 0, 1)
    study.enqueue_trial(SPACE.decode(ROWS[1]))
    running(study)
    late, current = running(study)[1], running(study)[1]
    add(study, ROWS[2], TrialState.FAIL)
    choosing = trials.read_study(study, SPACE, current).choosing
    assert [*choosing] == [silent.number, late.number]
