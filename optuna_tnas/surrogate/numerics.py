"""Context managers that pin threads, device, precision and gradients while we compute."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
from contextlib import nullcontext
from threading import Lock
from threading import Thread

from linear_operator.utils.cholesky import psd_safe_cholesky
import torch
from torch import Tensor


@contextmanager
def controlled_numerics() -> Iterator[None]:
    """Compute on the CPU with one thread, in full precision, and with gradients where asked.

    The matrices of a study are so small that more threads only wait for each other, and rounding
    depends on their number: with one, the same seed gives the same result whatever the number. The
    caller's threads, default device, ``autocast``, ``no_grad`` and ``inference_mode`` are as
    before afterwards, whatever happens inside and in other threads meanwhile.

    The linear algebra inside must be PyTorch's: its threads can be limited for the calling thread
    alone, those of numpy and scipy only for the whole process.
    """
    with (
        _torch_in_one_thread(),
        _cpu(),
        _without_autocast(),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        yield


_SETTINGS = Lock()  # so that nobody reads a setting between our change and its undoing


@contextmanager
def _torch_in_one_thread() -> Iterator[None]:
    """Limit PyTorch in this thread only.

    ``torch.set_num_threads`` sets the number of the calling thread and the one that new threads
    begin with. The latter is given back at once, so that training elsewhere keeps its threads.
    """
    with _SETTINGS:
        n_threads = torch.get_num_threads()
        if n_threads > 1:
            torch.set_num_threads(1)
            _in_another_thread(torch.set_num_threads, n_threads)
    try:
        yield
    finally:
        if n_threads > 1:
            torch.set_num_threads(n_threads)


def _in_another_thread(function: Callable[[int], None], argument: int) -> None:
    thread = Thread(target=function, args=(argument,))
    thread.start()
    thread.join()


def _cpu() -> AbstractContextManager[object]:
    """Nothing where it is the default: torch's own slows every operation down.

    A tensor tells the default in every version; ``torch.get_default_device`` of 2.5 fails once a
    default was set and unset, and does not see ``with torch.device(...)``.
    """
    device = torch.device("cpu")
    return nullcontext() if torch.empty(0).device == device else device


@contextmanager
def _without_autocast() -> Iterator[None]:
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        yield


@contextmanager
def single_precision() -> Iterator[None]:
    """New weights are drawn in single precision, whatever the user's default."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)


def cholesky(covariance: Tensor) -> Tensor:
    """Factorize ``... x n x n``: the lower factor, with more jitter where rounding asks for it."""
    factor, info = torch.linalg.cholesky_ex(covariance)
    return psd_safe_cholesky(covariance) if info.any() else factor
