"""The caller's settings are changed inside and as before afterwards, after errors too."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier
from threading import Thread

from linear_operator.utils.warnings import NumericalWarning
import pytest
import torch

from optuna_tnas.surrogate.numerics import cholesky
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.numerics import single_precision


@pytest.fixture(autouse=True)
def unusual_settings() -> Iterator[None]:
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(3)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


def threads_of_a_new_thread() -> int:
    seen: list[int] = []
    thread = Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


def test_threads_and_device() -> None:
    with torch.device("meta"):
        with pytest.raises(KeyError), controlled_numerics():
            assert torch.get_num_threads() == 1
            assert torch.zeros(1).device.type == "cpu"
            raise KeyError
        assert torch.get_num_threads() == 3
        assert torch.zeros(1).device.type == "meta"


def test_gradients_and_precision() -> None:
    with torch.inference_mode(), torch.autocast("cpu"):
        with controlled_numerics():
            x = torch.ones(4, 4, dtype=torch.float32, requires_grad=True)
            product = x @ x
            product.sum().backward()
            assert product.dtype == torch.float32
            assert x.grad is not None
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")


def test_threads_that_begin_meanwhile_have_the_callers_number() -> None:
    with controlled_numerics():
        assert threads_of_a_new_thread() == 3
    assert threads_of_a_new_thread() == 3


def test_several_threads_at_once_give_everything_back() -> None:
    """Each is inside while the other enters and leaves."""
    seen = []
    both = Barrier(2)

    def work() -> None:
        for _ in range(20):
            both.wait()
            with controlled_numerics():
                seen.append(torch.get_num_threads())
            seen.append(torch.get_num_threads())

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == 40 * [1] + 40 * [3]
    assert torch.get_num_threads() == threads_of_a_new_thread() == 3


def test_nested() -> None:
    with controlled_numerics():
        with controlled_numerics():
            pass
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_single_precision() -> None:
    with pytest.raises(KeyError), single_precision():
        assert torch.zeros(1).dtype == torch.float32
        raise KeyError
    assert torch.zeros(1).dtype == torch.float64


def test_cholesky_is_torchs() -> None:
    A = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    K = A @ A.T + torch.eye(6)
    torch.testing.assert_close(cholesky(K), torch.linalg.cholesky(K))


def test_cholesky_adds_jitter_where_rounding_asks_for_it() -> None:
    K = torch.ones(6, 6)
    K[0, 0] -= 1e-12
    with pytest.warns(NumericalWarning):
        factor = cholesky(K)
    torch.testing.assert_close(factor @ factor.T, K, atol=1e-4, rtol=0)
