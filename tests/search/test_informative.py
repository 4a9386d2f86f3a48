"""Which of many trials the models see."""

from __future__ import annotations

import numpy as np
import pytest

from optuna_tnas.search.informative import informative


@pytest.mark.parametrize("n", [0, 1, 2, 255, 256])
def test_up_to_a_number_all_trials_are_informative(n: int) -> None:
    assert informative(np.random.default_rng(0).standard_normal(n)).tolist() == list(range(n))


@pytest.mark.parametrize("kind", ["any", "rising", "falling", "equal", "failed"])
def test_beyond_it_the_best_and_the_latest_are(kind: str) -> None:
    y = {
        "any": np.random.default_rng(0).standard_normal(700),
        "rising": np.arange(700.0),
        "falling": -np.arange(700.0),
        "equal": np.ones(700),
        "failed": np.where(np.arange(700) % 3 == 0, -np.inf, np.arange(700.0) % 50),
    }[kind]
    for n in range(257, 700):
        kept = informative(y[:n])
        assert len(np.unique(kept)) == len(kept) <= 256
        assert kept.min() >= 0 and kept.max() < n
        assert y[:n].max() == y[kept].max()
        best = np.sort(y[:n])[-96:]
        assert np.sort(y[kept])[-96:].tolist() == best.tolist()
        assert set(range(n - 96, n)) <= set(kept.tolist())


def test_one_more_trial_changes_one_position_within_a_step() -> None:
    y = np.random.default_rng(0).standard_normal(700)
    changes = 0
    for n in range(257, 700):
        before, after = informative(y[:n]), informative(y[: n + 1])
        if n % 64:
            assert after.tolist() == [*before.tolist(), n]
        else:
            changes += 1
    assert changes == len(range(320, 700, 64))
