"""Studies in several spaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from tests.search.cases import Case


@pytest.fixture(scope="session")
def case_of(surrogate_of: Callable[[str], MetaSurrogate]) -> Callable[[str, int], Case]:
    def make(name: str, n: int) -> Case:
        surrogate = surrogate_of(name)
        return Case(
            surrogate, np.unique(surrogate.space.sample(n, np.random.default_rng(0)), axis=0)
        )

    return make


@pytest.fixture(scope="session")
def small(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("small", 10)


@pytest.fixture(scope="session")
def conditional(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("conditional", 3)


@pytest.fixture(scope="session")
def nasbench201_case(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("nasbench201", 30)


@pytest.fixture(scope="session")
def mobilenetv3_case(case_of: Callable[[str, int], Case]) -> Case:
    return case_of("mobilenetv3", 10)
