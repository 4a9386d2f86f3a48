from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.questions.ceiling import coefficients
from benchmarks.questions.ceiling import predictions
from optuna_tnas import MetaDataset
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.studies.history import Task


def test_weights_find_the_source_that_helps() -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal(200)
    predicted = np.stack([y + 0.1 * rng.standard_normal(200), -2 * y], axis=1)
    alike, single, weighted = coefficients(predicted, y)
    assert alike < 0 < 0.9 < single
    assert weighted == pytest.approx(single, abs=0.01)


def test_a_task_predicts_what_it_has_seen_and_its_opposite_the_opposite() -> None:
    space = NASBench201Space()
    rng = np.random.default_rng(0)
    X = space.sample(80, rng)
    y = (X == 3).sum(axis=1) + 0.1 * rng.standard_normal(80)
    history = MetaDataset(space, (Task("a", X[:40], y[:40]), Task("b", X[40:], -y[40:])))
    on_a = predictions(history)[0]
    assert spearmanr(on_a[:, 0], y[:40]).statistic > 0.9
    assert spearmanr(on_a[:, 1], y[:40]).statistic < -0.5
