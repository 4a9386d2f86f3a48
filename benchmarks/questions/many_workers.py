"""Do many workers on one study waste, lose or slow down anything?

    python -m benchmarks.questions.many_workers --storage postgresql+psycopg2://user@host/db \
        --workers 1,10,100 --trials 300 [--proxy] [--training 10] [--threads 1]

Forks worker processes that share a study of NAS-Bench-201's cells and all start at the same
moment, each with the shipped checkpoint and a connection of its own, which the server must allow.
With ``--proxy`` a gRPC proxy server stands between them and the database. An objective costs
nothing, or sleeps ``--training`` seconds (half to one and a half times as many, at random):
workers that do nothing but ask for suggestions want more cores than a machine has.

Prints, for each number of workers: networks evaluated twice, trials lost and processes that
failed; claims given up because another worker had the same network; milliseconds of a suggestion
in the worker's CPU (mean and median) and by the clock, which also counts waiting for the machine's
cores and for the database; calls of a trial to the storage, those of a suggestion and the most
that one suggestion made; seconds of all trials.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
import logging
import multiprocessing
import random
import socket
import subprocess
import sys
import threading
import time
from typing import Any
from uuid import uuid4
import warnings

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.storages import GrpcStorageProxy
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import Trial
from optuna.trial import TrialState
import torch

from benchmarks.common.markdown import table
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import NASBench201Space


HEADS = [
    *("workers", "trials", "twice", "lost", "failed workers", "claims given up", "CPU ms"),
    *("median CPU ms", "clock ms", "calls a trial", "of the suggestion", "at most", "s in all"),
]
_SERVE = """
import sys
from optuna.storages import get_storage, run_grpc_proxy_server
run_grpc_proxy_server(get_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""
_GAINS = np.random.default_rng(0).normal(size=(6, 5))  # of each operation on each edge


@dataclass(frozen=True)
class Setting:
    """What a group of workers does.

    Attributes:
        url: Of the database.
        port: Of the gRPC proxy server that workers connect to, if there is one.
        n_workers: Processes, times threads.
        n_trials: Of each worker.
        n_threads: Workers in a process, as ``n_jobs`` has them: they share sampler and storage.
        training: Mean seconds that an objective sleeps.
    """

    url: str
    port: int | None
    n_workers: int
    n_trials: int
    n_threads: int = 1
    training: float = 0.0

    def __post_init__(self) -> None:
        if self.n_workers > self.n_threads and self.n_workers % self.n_threads:
            raise ValueError(f"{self.n_workers} workers are no multiple of {self.n_threads}.")

    def connect(self) -> BaseStorage:
        """Connect a worker to the storage."""
        if self.port is None:
            return optuna.storages.get_storage(self.url)
        storage = GrpcStorageProxy(host="127.0.0.1", port=self.port)
        storage.wait_server_ready(timeout=300)
        return storage


class Counted:
    """Counts the calls to a storage, by thread.

    Args:
        storage: Whose methods are replaced.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self.total = 0
        self._mine = threading.local()
        self._lock = threading.Lock()
        for name in vars(BaseStorage):
            if not name.startswith("_"):
                setattr(storage, name, self._counting(getattr(storage, name)))

    @property
    def mine(self) -> int:
        """The calls of this thread."""
        return getattr(self._mine, "calls", 0)

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._mine.calls = self.mine + 1
            with self._lock:
                self.total += 1
            return method(*args, **kwargs)

        return call


class MeasuredSampler(TNASSampler):
    """Keeps what its suggestions took, by trial: seconds of CPU, by the clock, and calls."""

    taken: dict[int, np.ndarray]
    counted: Counted

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        with self._measured(trial):
            return super().infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        with self._measured(trial):
            return super().sample_relative(study, trial, search_space)

    @contextmanager
    def _measured(self, trial: FrozenTrial) -> Iterator[None]:
        start = self._now()
        yield
        taken = self.taken.get(trial._trial_id, np.zeros(3)) + self._now() - start
        self.taken[trial._trial_id] = taken

    def _now(self) -> np.ndarray:
        return np.array([time.thread_time(), time.perf_counter(), self.counted.mine])


class GivenUp(logging.Handler):
    """Counts the claims that the sampler gave up."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.n = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.n += "is claimed already" in record.getMessage()


@dataclass(frozen=True)
class Report:
    """What one process tells of its workers.

    Attributes:
        taken: ``n x 3`` of each suggestion: seconds of CPU, seconds by the clock, calls.
        calls: To the storage, in all.
        given_up: Claims.
    """

    taken: np.ndarray
    calls: int
    given_up: int


def warm_sampler() -> MeasuredSampler:
    """Make a sampler that has encoded the space, for all processes to be forked with."""
    sampler = MeasuredSampler.load("nasbench201", seed=0)
    assert isinstance(sampler, MeasuredSampler)
    sampler.taken, sampler.counted = {}, Counted(optuna.storages.InMemoryStorage())
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=2)
    sampler.taken = {}
    return sampler


def objective(trial: Trial) -> float:
    """Add up what the cell's operations count."""
    space = NASBench201Space()
    row = space.encode(space.suggest(trial))
    return float(_GAINS[np.arange(6), row].sum())


def work(setting: Setting, name: str, sampler: MeasuredSampler, barrier: Any) -> Report:
    """Run the workers of one process."""
    log, given_up = logging.getLogger("optuna.optuna_tnas.sampler"), GivenUp()
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(given_up)
    storage = setting.connect()
    study = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
    counted = sampler.counted = Counted(storage)
    pause = random.Random()

    def train(trial: Trial) -> float:
        value = objective(trial)
        time.sleep(setting.training * pause.uniform(0.5, 1.5))
        return value

    barrier.wait()
    threads = min(setting.n_threads, setting.n_workers)
    study.optimize(train, n_trials=setting.n_trials * threads, n_jobs=threads)
    return Report(np.array([*sampler.taken.values()]), counted.total, given_up.n)


def run(setting: Setting, sampler: MeasuredSampler) -> list[str]:
    """Run all workers on a new study; a row of the table."""
    # Not by the proxy: a process that has used gRPC cannot be forked.
    name, storage = f"many-workers-{uuid4().hex}", optuna.storages.get_storage(setting.url)
    optuna.create_study(study_name=name, storage=storage, direction="maximize")
    reports, failed, seconds = _run_processes(setting, name, sampler)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    optuna.delete_study(study_name=name, storage=storage)
    return row(setting, trials, reports, failed, seconds)


def _run_processes(
    setting: Setting, name: str, sampler: MeasuredSampler
) -> tuple[list[Report], int, float]:
    """Return the reports, how many processes failed, and the seconds from the start."""
    context = multiprocessing.get_context("fork")
    n = max(1, setting.n_workers // setting.n_threads)
    barrier, queue = context.Barrier(n + 1), context.SimpleQueue()

    def tell() -> None:
        report = None
        try:
            report = work(setting, name, sampler, barrier)
        finally:
            queue.put(report)

    for _ in range(n):
        context.Process(target=tell, daemon=True).start()
    barrier.wait()
    start = time.monotonic()
    reports = [queue.get() for _ in range(n)]
    seconds = time.monotonic() - start
    done = [report for report in reports if report is not None]
    return done, n - len(done), seconds


def row(
    setting: Setting,
    trials: Sequence[FrozenTrial],
    reports: Sequence[Report],
    failed: int,
    seconds: float,
) -> list[str]:
    """Sum up a run."""
    networks = [tuple(sorted(trial.params.items())) for trial in trials]
    completed = sum(trial.state == TrialState.COMPLETE for trial in trials)
    taken = np.concatenate([report.taken for report in reports])
    cpu, clock, calls = taken.mean(axis=0)
    return [
        *map(str, (setting.n_workers, len(trials), len(networks) - len({*networks}))),
        *map(str, (setting.n_workers * setting.n_trials - completed, failed)),
        str(sum(report.given_up for report in reports)),
        *(f"{1000 * x:.1f}" for x in (cpu, np.median(taken[:, 0]), clock)),
        f"{sum(report.calls for report in reports) / len(trials):.1f}",
        *(f"{calls:.1f}", f"{taken[:, 2].max():.0f}", f"{seconds:.1f}"),
    ]


@contextmanager
def proxy_of(url: str) -> Iterator[int]:
    """Yield the port of a proxy server of a database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", _SERVE, url, str(port)])
    try:
        yield port
    finally:
        server.kill()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--storage", required=True, help="URL of a database")
    add("--workers", default="1,10,100", help="numbers of workers, with commas")
    add("--trials", type=int, default=300, help="of all workers, at least one each")
    add("--threads", type=int, default=1, help="workers in a process")
    add("--training", type=float, default=0.0, help="mean seconds of an objective")
    add("--proxy", action="store_true", help="a gRPC proxy server before the database")
    a = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    torch.set_num_threads(1)
    sampler = warm_sampler()
    with proxy_of(a.storage) if a.proxy else nullcontext() as port:
        settings = (
            Setting(a.storage, port, n, max(1, a.trials // n), a.threads, a.training)
            for n in map(int, a.workers.split(","))
        )
        for line in table(HEADS, (run(setting, sampler) for setting in settings)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
