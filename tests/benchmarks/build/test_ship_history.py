from __future__ import annotations

import numpy as np
from optuna.trial import create_trial
from optuna.trial import FrozenTrial
import pytest
from scipy.stats import spearmanr

from benchmarks.build.ship_history import agreement_of


def trial(value: float, second: float | None) -> FrozenTrial:
    attributes = {} if second is None else {"second_log_loss": second}
    return create_trial(value=value, user_attrs=attributes)


def test_agreement_is_that_of_the_cells_with_two_seeds() -> None:
    first, second = np.random.default_rng(0).standard_normal((2, 8))
    trials = [trial(a, b) for a, b in zip(first, second, strict=True)]
    expected = spearmanr(first, second).statistic
    assert agreement_of([trial(-9.0, None), *trials]) == pytest.approx(expected)


def test_two_pairs_are_too_few_to_leave_a_study_out() -> None:
    assert agreement_of([trial(0.0, 1.0), trial(1.0, 0.0)]) == 1
