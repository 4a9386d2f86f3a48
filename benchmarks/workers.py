"""Start worker processes for the long benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import as_completed
from concurrent.futures import Executor
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
import os
import threading
from typing import TypeVar
import warnings

import optuna
import torch


Task = TypeVar("Task")
Result = TypeVar("Result")


def pool(n_workers: int) -> ProcessPoolExecutor:
    """Start processes of one thread, so that results repeat; none outlives a killed parent."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n_workers, context, initializer=_start)


def finished(
    pool: Executor, how: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[Result]:
    """Yield each task's result as soon as it is done; after an error no other task is begun."""
    try:
        for future in as_completed([pool.submit(how, task) for task in tasks]):
            yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _start() -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
