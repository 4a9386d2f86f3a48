"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
import json
import os
from pathlib import Path
import subprocess
import sys
from threading import Barrier
from typing import Any

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.trial import Trial
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from tests.small_config import SMALL
from tests.workers import Job
from tests.workers import objective
from tests.workers import open_storage


pytest_plugins = ["tests.fixtures.surrogates", "tests.fixtures.tasks"]

optuna.logging.set_verbosity(optuna.logging.WARNING)
optuna.logging.enable_propagation()  # to pytest's caplog


@pytest.fixture(scope="session")
def nasbench201() -> Space:
    return NASBench201Space()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, nasbench201: Space) -> Path:
    """A small surrogate with three initial architectures."""
    surrogate = MetaSurrogate(nasbench201, SMALL)
    surrogate.warm_starts = (nasbench201.sample(3, np.random.default_rng(7)),)
    path = tmp_path_factory.mktemp("checkpoint") / "meta.pt"
    surrogate.save(path)
    return path


@pytest.fixture(scope="session", name="objective")
def _objective() -> Callable[[Trial], float]:
    return objective


@pytest.fixture(scope="session", name="open_storage")
def _open_storage() -> Callable[[str], BaseStorage]:
    return open_storage


@pytest.fixture
def start_workers(checkpoint: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the processes of a :class:`Job`; those still alive at the end are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(**fields: Any) -> subprocess.Popen[str]:
        job = Job(checkpoint=str(checkpoint), **fields)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.workers", json.dumps(asdict(job))],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def run_together() -> Callable[[Callable[[Any], Any], list[Any]], list[Any]]:
    """Calls a function with each argument, all at the same moment, one thread each."""

    def run(function: Callable[[Any], Any], arguments: list[Any]) -> list[Any]:
        barrier = Barrier(len(arguments))

        def wait_and_call(argument: Any) -> Any:
            barrier.wait(timeout=60)
            return function(argument)

        with ThreadPoolExecutor(len(arguments)) as pool:
            return list(pool.map(wait_and_call, arguments))

    return run
