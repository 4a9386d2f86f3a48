from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
import json
import time

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
import pytest

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.studies import claims
from optuna_tnas.studies import trials
from tests.studies.small_study import add
from tests.studies.small_study import read
from tests.studies.small_study import ROWS
from tests.studies.small_study import running
from tests.studies.small_study import SPACE


def keep(study: Study, trial: FrozenTrial, row: np.ndarray, space: Space = SPACE) -> bool:
    return claims.give_way(study, space, trial, row) == 0


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_claim_gives_way_to_a_finished_trial(state):
    study = optuna.create_study()
    _, current = running(study)
    claims.claim(study, SPACE, current, ROWS[0])
    add(study, ROWS[0], state, 1.0 if state == TrialState.COMPLETE else None)
    assert not keep(study, current, ROWS[0])
    assert len(read(study).pending) == 0  # withdrawn


def test_a_claim_gives_way_to_an_older_one():
    study = optuna.create_study()
    (_, older), (_, younger) = running(study), running(study)
    for trial in (older, younger):
        claims.claim(study, SPACE, trial, ROWS[0])
    assert not keep(study, younger, ROWS[0])
    assert keep(study, older, ROWS[0])


def test_an_older_claim_waits_until_the_younger_one_gave_way():
    study = optuna.create_study()
    (_, older), (_, younger) = running(study), running(study)
    for trial in (older, younger):
        claims.claim(study, SPACE, trial, ROWS[0])
    with ThreadPoolExecutor(1) as pool:
        kept = pool.submit(keep, study, older, ROWS[0])
        assert not wait([kept], timeout=0.1).done
        assert not keep(study, younger, ROWS[0])
        assert kept.result(timeout=60)


def test_a_claim_gives_way_to_a_younger_trial_under_way():
    study = optuna.create_study()
    _, older = running(study)
    younger, _ = running(study)
    row = SPACE.encode(SPACE.suggest(younger))
    claims.claim(study, SPACE, older, row)
    assert not keep(study, older, row)


def test_a_claim_gives_way_at_once_to_what_another_sampler_chose(monkeypatch):
    monkeypatch.setattr(claims, "_PATIENCE", 60.0)
    study = optuna.create_study()
    (_, current), (_, younger) = running(study), running(study)
    text = json.dumps(SPACE.decode(ROWS[0]))
    study._storage.set_trial_system_attr(younger._trial_id, "gp:relative_params:0", text)
    claims.claim(study, SPACE, current, ROWS[0])
    start = time.monotonic()
    assert not keep(study, current, ROWS[0])
    assert time.monotonic() - start < 30


def test_a_claim_does_not_wait_forever_for_a_dead_process(monkeypatch):
    monkeypatch.setattr(claims, "_PATIENCE", 0.1)
    study = optuna.create_study()
    (_, older), (_, younger) = running(study), running(study)
    for trial in (older, younger):
        claims.claim(study, SPACE, trial, ROWS[0])
    assert not keep(study, older, ROWS[0])


def test_different_claims_stand():
    study = optuna.create_study()
    current = [running(study)[1] for _ in ROWS]
    for trial, row in zip(current, ROWS, strict=True):
        claims.claim(study, SPACE, trial, row)
    assert all(keep(study, t, row) for t, row in zip(current, ROWS, strict=True))


def test_one_of_many_simultaneous_claims_is_kept(run_together: Callable):
    study = optuna.create_study()
    current = [running(study)[1] for _ in range(8)]

    def contend(trial: FrozenTrial) -> bool:
        claims.claim(study, SPACE, trial, ROWS[0])
        return keep(study, trial, ROWS[0])

    assert sum(run_together(contend, current)) == 1


def cells(names: str, ops: str) -> CellSpace:
    """A chain of operations."""
    before = ["input", *names]
    return CellSpace([Node(n, [*ops], [p]) for n, p in zip(names, before, strict=False)])


@pytest.mark.parametrize("suggested", [True, False])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (cells("ab", "xyz"), cells("cde", "xyz")),
        (cells("cde", "xyz"), cells("ab", "xyz")),
        (cells("ab", "xyz"), cells("cd", "xy")),
        (cells("ab", "xyz"), cells("cd", "pqrs")),
        (cells("ab", "xyz"), cells("cd", "xyz")),
        (cells("ab", "xyz"), cells("ab", "xyzw")),
    ],
)
def test_claims_of_another_spaces_search_are_ignored(first, second, suggested):
    """The process that made the claim was killed, and its trial is running for ever."""
    study = optuna.create_study()
    trial, current = running(study)
    claims.claim(study, first, current, np.ones(len(first.parameters), dtype=np.int64))
    if suggested and not first.distributions().keys() & second.distributions().keys():
        first.suggest(trial)
    row = np.ones(len(second.parameters), dtype=np.int64)
    _, later = running(study)
    claims.claim(study, second, later, row)
    data = trials.read_study(study, second, later)
    assert len(data.pending) == len(data.avoided) == 0
    assert not claims.give_way(study, second, later, row)
    _, last = running(study)
    assert np.array_equal(trials.read_study(study, second, last).pending, [row])


def test_each_of_those_that_choose_together_has_a_smaller_share() -> None:
    study = optuna.create_study()
    choosing = [running(study)[1] for _ in range(4)]
    data = [trials.read_study(study, SPACE, trial) for trial in choosing]
    shares = [claims.share(d, t) for d, t in zip(data, choosing, strict=True)]
    assert shares == [1, 1 / 2, 1 / 3, 1 / 4]
    claims.claim(study, SPACE, choosing[1], ROWS[0])
    assert claims.share(trials.read_study(study, SPACE, choosing[3]), choosing[3]) == 1 / 3


def test_a_trial_of_a_dead_worker_takes_no_share_for_long() -> None:
    study = optuna.create_study()
    running(study)
    for row in ROWS:
        add(study, row, TrialState.COMPLETE, 0.0)
    current = running(study)[1]
    assert claims.share(trials.read_study(study, SPACE, current), current) == 1
