"""Worker processes that share a study evaluate no architecture twice and lose none."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import sys
from uuid import uuid4

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
import pytest


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the workers are forked")


@pytest.fixture
def run_workers(
    open_storage: Callable[[str], BaseStorage], start_workers: Callable
) -> Callable[..., list[FrozenTrial]]:
    """The trials of a new study after all workers of a job ended with exit code 0."""

    def run(
        location: str, n_processes: int, n_objectives: int = 1, **fields: object
    ) -> list[FrozenTrial]:
        storage, name = open_storage(location), f"test-{uuid4().hex}"
        directions = ["maximize", "minimize"][:n_objectives]
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        try:
            workers = start_workers(
                location=location, study_name=name, n_processes=n_processes, **fields
            )
            report, errors = workers.communicate(timeout=590)
            print(report)
            assert json.loads(report)["exit_codes"] == [0] * n_processes, errors[-5000:]
            return study.trials
        finally:
            optuna.delete_study(study_name=name, storage=storage)

    return run


def assert_complete_and_distinct(trials: list[FrozenTrial], n_trials: int) -> None:
    assert [t.number for t in trials] == list(range(n_trials))
    assert {t.state for t in trials} == {TrialState.COMPLETE}
    assert len({tuple(sorted(t.params.items())) for t in trials}) == n_trials


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_three_workers_that_choose_at_the_same_moment(run_workers, tmp_path: Path, kind: str):
    location = f"sqlite:///{tmp_path}/s.db" if kind == "sqlite" else f"journal:{tmp_path}/s.log"
    trials = run_workers(location, n_processes=3, n_trials=6, in_step=True)
    assert_complete_and_distinct(trials, 18)


on_postgresql = pytest.mark.skipif(
    "OPTUNA_TNAS_POSTGRES_URL" not in os.environ,
    reason="needs a server: set OPTUNA_TNAS_POSTGRES_URL",
)


@pytest.mark.slow
@on_postgresql
def test_eight_workers_on_postgresql(run_workers):
    location = os.environ["OPTUNA_TNAS_POSTGRES_URL"]
    trials = run_workers(location, n_processes=8, n_trials=15)
    assert_complete_and_distinct(trials, 120)


@pytest.mark.slow
@on_postgresql
def test_eight_workers_with_two_objectives_and_a_constraint_on_postgresql(run_workers):
    location = os.environ["OPTUNA_TNAS_POSTGRES_URL"]
    trials = run_workers(location, n_processes=8, n_objectives=2, n_trials=5)
    assert_complete_and_distinct(trials, 40)
    assert all(len(t.values) == 2 and t.constraints.keys() == {"convolutions"} for t in trials)
    met = [t.constraints["convolutions"] <= 0 for t in trials]
    assert sum(met[20:]) >= sum(met[:20])
