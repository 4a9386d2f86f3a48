"""A worker process, its objective and its storage.

It takes one JSON object, the fields of :class:`Job`, and prints one when it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
import logging
import os
import signal
import sys
import time
from typing import Any

import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage
from optuna.storages import get_storage
from optuna.storages import GrpcStorageProxy
from optuna.storages import InMemoryStorage
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal import JournalRedisBackend
from optuna.trial import FrozenTrial
from optuna.trial import Trial

from optuna_tnas import TNASSampler
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.visualization import DashboardCallback


optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial: Trial) -> float:
    """A stand-in for training: each operation counts, and how it goes with the one before.

    The weights are multiples of 1/64, so that sums are exact wherever they are computed.
    """
    space = NASBench201Space()
    row = space.encode(space.suggest(trial))
    return (int(_OPS[np.arange(6), row].sum()) + int(_PAIRS[row[:-1], row[1:]].sum())) / 64


def objectives(trial: Trial) -> tuple[float, float]:
    """The objective, and a latency; a trial's number of convolutions is limited to three."""
    space, value = NASBench201Space(), objective(trial)
    row = space.encode(trial.params)
    trial.set_constraint("convolutions", float((row == 2).sum() + (row == 3).sum()) - 3)
    return value, float(_LATENCIES[row].sum())


_LATENCIES = np.array([0, 1, 6, 10, 4])
_OPS = np.random.default_rng(201).integers(-64, 64, size=(6, 5))
_PAIRS = np.random.default_rng(202).integers(-32, 32, size=(5, 5))


def open_storage(location: str) -> BaseStorage:
    """``memory``, ``journal:PATH``, ``redis://...#PREFIX``, ``grpc:PORT`` or a database's URL."""
    kind, _, rest = location.partition(":")
    if kind == "memory":
        return InMemoryStorage()
    if kind == "journal":
        return JournalStorage(JournalFileBackend(rest))
    if kind == "redis":
        url, _, prefix = location.partition("#")
        return JournalStorage(JournalRedisBackend(url, prefix=prefix))
    if kind == "grpc":
        proxy = GrpcStorageProxy(host="127.0.0.1", port=int(rest))
        proxy.wait_server_ready(timeout=60)
        return proxy
    return get_storage(location)


@dataclass(frozen=True)
class Job:
    """What a group of worker processes does.

    Attributes:
        location: Of the storage, as for :func:`open_storage`.
        study_name: An existing study, with one objective or two.
        checkpoint: The sampler's.
        n_trials: Of each process.
        n_processes: Forked once everything is imported, so that they start together.
        seed: The first process's; the others count on.
        in_step: Whether all processes wait for each other before every suggestion.
        kill_after: The process kills itself once the study has so many trials.
        drawings: Folder of the drawings of a DashboardCallback after every trial, if there is one.
    """

    location: str
    study_name: str
    checkpoint: str
    n_trials: int
    n_processes: int = 1
    seed: int = 0
    in_step: bool = False
    kill_after: int | None = None
    drawings: str | None = None


def _work(job: Job, index: int, barrier: Any, retries: Any) -> None:
    """One process's share; a failure shows in its exit code."""
    sampler = TNASSampler.load(job.checkpoint, seed=job.seed + index)
    log = logging.getLogger("optuna.optuna_tnas.sampler")
    log.setLevel(logging.DEBUG)
    log.addHandler(_Counter(retries))
    storage = open_storage(job.location)
    study = optuna.load_study(study_name=job.study_name, storage=storage, sampler=sampler)

    train = objective if len(study.directions) == 1 else objectives

    def evaluate(trial: Trial) -> float | tuple[float, float]:
        print(f"trial {trial.number}", file=sys.stderr, flush=True)
        if job.in_step:
            barrier.wait(timeout=60)
        return train(trial)

    def kill(study: optuna.Study, trial: FrozenTrial) -> None:
        if job.kill_after is not None and len(study.get_trials(deepcopy=False)) >= job.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    callbacks: list[Any] = [kill]
    if job.drawings is not None:
        store = FileSystemArtifactStore(job.drawings)
        callbacks.append(DashboardCallback(sampler, store, every=1))
    study.optimize(evaluate, n_trials=job.n_trials, callbacks=callbacks)


class _Counter(logging.Handler):
    """Counts how often the sampler had to choose again."""

    def __init__(self, total: Any) -> None:
        super().__init__(logging.DEBUG)
        self._total = total

    def emit(self, record: logging.LogRecord) -> None:
        if "claimed" in record.getMessage():
            with self._total.get_lock():
                self._total.value += 1


def _main(job: Job) -> None:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    barrier, retries = context.Barrier(job.n_processes), context.Value("i", 0)
    start = time.monotonic()
    if job.n_processes == 1:
        _work(job, 0, barrier, retries)
        return
    processes = [
        context.Process(target=_work, args=(job, index, barrier, retries))
        for index in range(job.n_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    report = {
        "exit_codes": [process.exitcode for process in processes],
        "retries": retries.value,
        "seconds": time.monotonic() - start,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    _main(Job(**json.loads(sys.argv[1])))
