"""How the surrogate's small matrices are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
from contextlib import nullcontext

import torch


@contextmanager
def one_cpu_thread() -> Iterator[None]:
    """On the CPU whatever the user's default device, in one thread.

    The matrices of a study are so small that more threads only wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _cpu():
            yield
    finally:
        torch.set_num_threads(threads)


def _cpu() -> AbstractContextManager[object]:
    """Nothing where it is the default: torch's own slows every operation down."""
    device = torch.device("cpu")
    return nullcontext() if torch.get_default_device() == device else device


@contextmanager
def single_precision() -> Iterator[None]:
    """New weights are drawn in single precision, whatever the user's default."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
