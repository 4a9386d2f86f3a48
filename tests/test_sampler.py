"""The sampler against the suites that Optuna holds its own samplers to, and what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.testing.pytest_samplers import RelativeSamplerTestCase
from optuna.testing.pytest_samplers import SingleOnlySamplerTestCase
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import NASBench201Space


class _Suites(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """All that Optuna demands of a single-objective sampler."""


class TestWithoutCheckpoint(_Suites):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TNASSampler(space=NASBench201Space(), seed=0)


class TestWithCheckpoint(_Suites):
    @pytest.fixture
    def sampler(self, tmp_path: Path) -> Callable[[], BaseSampler]:
        path = tmp_path / "meta.pt"
        MetaSurrogate(NASBench201Space()).save(path)
        return lambda: TNASSampler.load(path, seed=0)
