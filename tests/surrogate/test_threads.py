"""Torch's global settings are changed inside and as before afterwards, after errors too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from optuna_tnas.surrogate.threads import one_cpu_thread
from optuna_tnas.surrogate.threads import single_precision


@pytest.fixture(autouse=True)
def unusual_settings() -> Iterator[None]:
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(3)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


def test_one_cpu_thread() -> None:
    with torch.device("meta"):
        with pytest.raises(KeyError), one_cpu_thread():
            assert torch.get_num_threads() == 1
            assert torch.zeros(1).device.type == "cpu"
            raise KeyError
        assert torch.get_num_threads() == 3
        assert torch.zeros(1).device.type == "meta"


def test_single_precision() -> None:
    with pytest.raises(KeyError), single_precision():
        assert torch.zeros(1).dtype == torch.float32
        raise KeyError
    assert torch.zeros(1).dtype == torch.float64
