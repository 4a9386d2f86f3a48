"""Searches whose storage was damaged, or holds what no sampler wrote."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from datetime import datetime
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage
from optuna.storages import RDBStorage
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest

from optuna_tnas import DatasetSample
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.datasets.storage import _ARTIFACT_ID
from optuna_tnas.errors import CheckpointError
from optuna_tnas.spaces import NASBench201Space
from tests.postgres import PostgresServer
from tests.postgres import programs
from tests.searches import n_different
from tests.searches import params


def journal(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path)))


def load(path: Path, checkpoint: Path) -> Study:
    sampler = TNASSampler.load(checkpoint, seed=0)
    return optuna.load_study(study_name="s", storage=journal(path), sampler=sampler)


@pytest.fixture
def search_in_journal(
    tmp_path: Path, checkpoint: Path, objective: Callable[[Trial], float]
) -> Callable[[str, int], Path]:
    def run(name: str, n_trials: int) -> Path:
        path = tmp_path / name
        optuna.create_study(study_name="s", storage=journal(path), direction="maximize")
        load(path, checkpoint).optimize(objective, n_trials=n_trials)
        return path

    return run


@pytest.mark.parametrize("n_bytes", [1, 20])
def test_a_journal_with_a_torn_last_line_is_read_and_goes_on_once_it_is_cut(
    search_in_journal: Callable[[str, int], Path],
    checkpoint: Path,
    objective: Callable[[Trial], float],
    n_bytes: int,
) -> None:
    """As a machine leaves it that stopped while it wrote."""
    whole = load(search_in_journal("whole", 8), checkpoint)
    path = search_in_journal("torn", 5)
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines()[-1][:n_bytes])
    assert params(load(path, checkpoint)) == params(whole)[:5]
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"\n") + 1])  # the remedy of the docs
    study = load(path, checkpoint)
    study.optimize(objective, n_trials=3)
    assert params(study) == params(whole)


def test_a_trial_whose_end_was_torn_off_is_not_repeated(
    search_in_journal: Callable[[str, int], Path],
    checkpoint: Path,
    objective: Callable[[Trial], float],
) -> None:
    path = search_in_journal("torn", 5)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))  # the last trial's value is lost
    study = load(path, checkpoint)
    assert study.trials[4].state == TrialState.RUNNING
    study.optimize(objective, n_trials=5)
    assert n_different(study.trials, NASBench201Space()) == 10


HOSTILE: list[Any] = [None, 7, -1.5, True, "x", "x" * 60_000, [], [[1], "a"], {"a": [None]}]
KEYS = ["constraints", "constraints:ms", "gp:relative_params:0", "tnas:architecture:", "tnas"]


@pytest.mark.parametrize("key", KEYS)
def test_hostile_attributes_change_no_suggestion(
    key: str, checkpoint: Path, objective: Callable[[Trial], float]
) -> None:
    """Whatever trials that finished, and one that is running, have among their attributes."""

    def run(hostile: bool) -> Study:
        study = optuna.create_study(
            direction="maximize", sampler=TNASSampler.load(checkpoint, seed=0)
        )
        for content in HOSTILE:
            trial = study.ask()
            value = objective(trial)
            if hostile and not (key == "constraints:ms" and isinstance(content, int | float)):
                study._storage.set_trial_system_attr(trial._trial_id, key, content)
            study.tell(trial, value)
        return study

    assert params(run(hostile=True)) == params(run(hostile=False))


@pytest.mark.parametrize("content", [*HOSTILE, "../../secret"])
def test_the_sample_of_a_study_is_one_of_its_artifacts(content: Any, tmp_path: Path) -> None:
    """The attribute that names the latest one may hold anything, another file's path too."""
    store = FileSystemArtifactStore(tmp_path / "artifacts")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    study = optuna.create_study()
    sample = DatasetSample.from_arrays(
        [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 5.0]], [0, 1, 0, 1]
    )
    sample.attach(study, store)
    study.set_user_attr(_ARTIFACT_ID, content)
    found = DatasetSample.attached_to(study, store)
    assert found is not None
    assert (found.labels == sample.labels).all()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    if programs() is None:
        pytest.skip("needs PostgreSQL's programs, to start a server that may be stopped")
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def objective_with_restart(
    postgres: PostgresServer, objective: Callable[[Trial], float]
) -> Callable[[Trial], float]:
    """The server crashes and comes back while the sixth trial is evaluated."""

    def evaluate(trial: Trial) -> float:
        value = objective(trial)
        if trial.number == 5:
            postgres.stop()
            postgres.start()
        return value

    return evaluate


@pytest.mark.parametrize("pre_ping", [True, False])
def test_a_database_that_is_restarted_loses_and_repeats_nothing(
    pre_ping: bool,
    postgres: PostgresServer,
    objective_with_restart: Callable[[Trial], float],
    checkpoint: Path,
    objective: Callable[[Trial], float],
) -> None:
    storage = RDBStorage(postgres.url, engine_kwargs={"pool_pre_ping": pre_ping})
    study = optuna.create_study(
        storage=storage, direction="maximize", sampler=TNASSampler.load(checkpoint, seed=0)
    )
    if not pre_ping:
        with pytest.raises((StorageInternalError, AssertionError)):  # Optuna's own
            study.optimize(objective_with_restart, n_trials=10)
        assert [t.state for t in study.trials] == 5 * [TrialState.COMPLETE] + [TrialState.RUNNING]
        study.optimize(objective, n_trials=4)
    else:
        study.optimize(objective_with_restart, n_trials=10)
        undisturbed = optuna.create_study(
            direction="maximize", sampler=TNASSampler.load(checkpoint, seed=0)
        )
        undisturbed.optimize(objective, n_trials=10)
        assert params(study) == params(undisturbed)
    assert n_different(study.trials, NASBench201Space()) == 10


def with_heartbeat(url: str) -> RDBStorage:
    retry = RetryHeartbeatStaleTrialCallback(max_retry=2)
    return RDBStorage(
        url, heartbeat_interval=1, grace_period=1, heartbeat_stale_trial_callback=retry
    )


def be_killed_in_a_trial(url: str, checkpoint: Path, objective: Callable[[Trial], float]) -> None:
    def evaluate(trial: Trial) -> float:
        objective(trial)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    sampler = TNASSampler.load(checkpoint, seed=1)
    study = optuna.load_study(study_name="s", storage=with_heartbeat(url), sampler=sampler)
    study.optimize(evaluate, n_trials=1)


@pytest.mark.skipif(sys.platform == "win32", reason="the worker is forked")
def test_a_trial_that_the_heartbeat_retries_keeps_its_architecture_and_counts_once(
    tmp_path: Path, checkpoint: Path, objective: Callable[[Trial], float]
) -> None:
    url, sampler = f"sqlite:///{tmp_path}/s.db", TNASSampler.load(checkpoint, seed=0)
    study = optuna.create_study(
        study_name="s", storage=with_heartbeat(url), direction="maximize", sampler=sampler
    )
    study.optimize(objective, n_trials=4)
    work = partial(be_killed_in_a_trial, url, checkpoint, objective)
    worker = get_context("fork").Process(target=work)
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    time.sleep(2.5)  # the last beat is older than the grace period, in whole seconds
    study.optimize(objective, n_trials=8)
    failed, retried = study.trials[4:6]
    assert failed.state == TrialState.FAIL
    assert RetryHeartbeatStaleTrialCallback.retried_trial_number(retried) == 4
    assert retried.params == failed.params
    assert retried.value is not None
    assert retried.user_attrs["tnas:reason"] == failed.user_attrs["tnas:reason"]
    complete = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert len(complete) == 12
    assert n_different(complete, NASBench201Space()) == 12


class HourLate(datetime):
    """A clock that is an hour behind."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) - timedelta(hours=1)


def test_clocks_that_differ_by_an_hour_change_no_suggestion(
    tmp_path: Path,
    checkpoint: Path,
    objective: Callable[[Trial], float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers take turns; the second one's clock is late."""

    def run(late: type[datetime]) -> Study:
        url = f"sqlite:///{tmp_path}/{late.__name__}.db"
        study = optuna.create_study(storage=url, direction="maximize")
        for i in range(10):
            monkeypatch.setattr(
                "optuna.storages._rdb.storage.datetime", late if i % 2 else datetime
            )
            study.sampler = TNASSampler.load(checkpoint, seed=0)
            study.optimize(objective, n_trials=1)
        return study

    study = run(HourLate)
    spread = study.trials[0].datetime_start - study.trials[1].datetime_start
    assert spread > timedelta(minutes=50)
    assert params(study) == params(run(datetime))
    for trial in study.trials:  # the order of the trials is read off the clocks
        assert study.sampler.explain(study, trial).phase


def test_claims_of_the_first_version_change_no_suggestion_and_trials_count(
    checkpoint: Path, objective: Callable[[Trial], float]
) -> None:
    """It wrote claims without the space's fingerprint; what counts are the parameters."""

    def run(old: bool) -> Study:
        study = optuna.create_study(
            direction="maximize", sampler=TNASSampler.load(checkpoint, seed=0)
        )
        for number in range(10):
            trial = study.ask()
            if old:
                claim = [number % 5, 0, 0, 0, 0, 0]
                study._storage.set_trial_system_attr(trial._trial_id, "tnas:architecture", claim)
            study.tell(trial, objective(trial))
        return study

    assert params(run(old=True)) == params(run(old=False))


def test_a_checkpoint_of_the_first_format_is_refused_with_the_remedy() -> None:
    """The file was written by the first version that could."""
    path = Path(__file__).parent / "fixtures" / "checkpoint_version_1.pt"
    with pytest.raises(CheckpointError, match=r"format version 1, .* meta-train again"):
        MetaSurrogate.load(path)


REFUSED = 7  # an exit status


def save_without_room(path: Path) -> None:
    import resource

    surrogate = MetaSurrogate.load(path)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        surrogate.save(path)
    except CheckpointError:
        os._exit(REFUSED)


@pytest.mark.skipif(sys.platform == "win32", reason="the system limits no file's size")
def test_a_checkpoint_that_does_not_fit_leaves_the_old_one(
    checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "meta.pt"
    path.write_bytes(checkpoint.read_bytes())
    worker = get_context("fork").Process(target=save_without_room, args=(path,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == REFUSED
    assert path.read_bytes() == checkpoint.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["meta.pt"]
