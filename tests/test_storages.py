"""The same seed gives the same trials in every storage, interrupted or not.

Servers are named by environment variables, for example::

    OPTUNA_TNAS_REDIS_URL=redis://127.0.0.1:6379
    OPTUNA_TNAS_POSTGRES_URL=postgresql+psycopg2://postgres@127.0.0.1:5432/test
    OPTUNA_TNAS_MARIADB_URL=mysql+pymysql://root@127.0.0.1:3306/test
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import os
from pathlib import Path
import random
import socket
import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
import pytest

from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from optuna_tnas.studies import claims
from optuna_tnas.studies import trials


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers are killed by a signal")

N_TRIALS = 16
N_BEFORE = 8
VARIABLES = {
    "redis": "OPTUNA_TNAS_REDIS_URL",
    "postgresql": "OPTUNA_TNAS_POSTGRES_URL",
    "mariadb": "OPTUNA_TNAS_MARIADB_URL",
}
SERVE = """
import sys
from optuna.storages import get_storage, run_grpc_proxy_server
run_grpc_proxy_server(get_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""


@pytest.fixture(params=["sqlite", "journal", "redis", "grpc", "postgresql", "mariadb"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    kind = request.param
    if kind in VARIABLES and VARIABLES[kind] not in os.environ:
        pytest.skip(f"needs a server: set {VARIABLES[kind]}")
    if kind == "grpc":
        yield from _grpc_server(f"sqlite:///{tmp_path}/served.db")
    elif kind == "redis":
        yield from _redis(os.environ[VARIABLES[kind]])
    elif kind in VARIABLES:
        yield os.environ[VARIABLES[kind]]
    elif kind == "sqlite":
        yield f"sqlite:///{tmp_path}/s.db"
    else:
        yield f"journal:{tmp_path}/s.log"


def _grpc_server(url: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVE, url, str(port)])
    try:
        yield f"grpc:{port}"
    finally:
        server.kill()
        server.wait()


def _redis(url: str) -> Iterator[str]:
    import redis

    prefix = f"test-{uuid4().hex}"
    yield f"{url}#{prefix}"
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


@pytest.fixture
def study(location: str, open_storage: Callable[[str], BaseStorage]) -> Iterator[Study]:
    """An empty study of the storage, deleted afterwards."""
    storage = open_storage(location)
    name = f"test-{uuid4().hex}"
    yield optuna.create_study(storage=storage, study_name=name, direction="maximize")
    # A proxy that read the study while another process wrote it would not delete it cleanly.
    optuna.delete_study(study_name=name, storage=open_storage(location))


@pytest.fixture(scope="session")
def uninterrupted(checkpoint: Path, objective: Callable) -> list[FrozenTrial]:
    """The trials in memory."""
    study = optuna.create_study(direction="maximize")
    study.sampler = TNASSampler.load(checkpoint, seed=0)
    study.optimize(objective, n_trials=N_TRIALS)
    return study.trials


def outcome(trials: list[FrozenTrial]) -> list[tuple[Any, ...]]:
    return [(t.number, t.params, t.value) for t in trials]


def test_same_seed_same_trials(study, uninterrupted, checkpoint, objective):
    study.sampler = TNASSampler.load(checkpoint, seed=0)
    study.optimize(objective, n_trials=N_TRIALS)
    assert outcome(study.trials) == outcome(uninterrupted)


def test_same_seed_same_trials_where_some_are_pruned(study, checkpoint, objective):
    def train(trial):
        value = objective(trial)
        trial.report(value + trial.number % 3, 1)
        trial.report(value, 3)
        if trial.should_prune():
            raise optuna.TrialPruned
        return value

    sampler = TNASSampler.load(checkpoint, seed=0)
    whole = optuna.create_study(direction="maximize", sampler=sampler, pruner=MedianPruner(3))
    whole.optimize(train, n_trials=N_TRIALS)
    study.pruner = MedianPruner(3)
    for n_trials in (N_BEFORE, N_TRIALS - N_BEFORE):
        study.sampler = TNASSampler.load(checkpoint, seed=0)  # as a new process has it
        study.optimize(train, n_trials=n_trials)
    assert {t.state for t in whole.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert outcome(study.trials) == outcome(whole.trials)


def test_killed_between_trials_and_resumed_gives_the_same_trials(
    study, location, uninterrupted, checkpoint, objective, start_workers
):
    worker = start_workers(
        location=location,
        study_name=study.study_name,
        n_trials=N_TRIALS,
        kill_after=N_BEFORE,
    )
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == -9, errors
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * N_BEFORE
    study.sampler = TNASSampler.load(checkpoint, seed=0)
    study.optimize(objective, n_trials=N_TRIALS - N_BEFORE)
    assert outcome(study.trials) == outcome(uninterrupted)


@pytest.mark.parametrize(
    ("location", "afterwards"),
    [("sqlite", "left running"), ("journal", "told to have failed")],
    indirect=["location"],
)
def test_killed_within_a_trial_loses_and_repeats_nothing(
    study, location, uninterrupted, checkpoint, objective, start_workers, afterwards
):
    """The interrupted trial keeps its number, so what follows it is numbered one higher.

    What was completed stays as it was; the interrupted architecture, if it was chosen already,
    is not evaluated again, whether the user leaves its trial running or tells that it failed.
    """
    n_together = N_BEFORE + 5  # no more, however fast the worker is
    worker = start_workers(location=location, study_name=study.study_name, n_trials=n_together)
    while f"trial {N_BEFORE}" not in worker.stderr.readline():
        assert worker.poll() is None
    time.sleep(random.uniform(0, 0.05))  # while it chooses, stores or evaluates
    worker.kill()
    worker.wait()

    before = study.trials
    for trial in before:
        if trial.state == TrialState.RUNNING and afterwards == "told to have failed":
            study.tell(trial.number, state=TrialState.FAIL)
    study.sampler = TNASSampler.load(checkpoint, seed=0)
    n_left = n_together - sum(t.state == TrialState.COMPLETE for t in before)
    study.optimize(objective, n_trials=n_left)

    completed = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert len(completed) == n_together
    assert outcome(completed)[:N_BEFORE] == outcome(uninterrupted)[:N_BEFORE]
    whole = [tuple(t.params.values()) for t in study.trials if len(t.params) == 6]
    assert len(whole) == len(set(whole))


def test_a_claim_of_thousands_of_parameters_is_read_whole(study):
    names = [f"n{i}" for i in range(5000)]
    space = CellSpace([Node(n, ["a", "b", "c"], ["input"]) for n in names])
    trial = study._storage.get_trial(study.ask()._trial_id)
    (row,) = space.sample(1, np.random.default_rng(0))
    claims.claim(study, space, trial, row)
    assert np.array_equal(trials.read_study(study, space, None).pending, [row])
