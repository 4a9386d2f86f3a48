"""Predictions of trials that were not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import Trial
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import SpaceError
from optuna_tnas.errors import StudyError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from tests.small_config import SMALL


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks
ROWS = SPACE.enumerate()
ALL = [SPACE.decode(row) for row in ROWS]


def value_of(row: np.ndarray) -> float:
    return 50 + 10 * float((row * [1.0, 0.8, 0.6, 0.4]).sum())


def plain(trial: Trial) -> float:
    return value_of(SPACE.encode(SPACE.suggest(trial)))


def studied(
    objective: Callable[[Trial], float] = plain, n_trials: int = 30, **kwargs: Any
) -> tuple[TNASSampler, Study]:
    """Random trials, and a sampler that was not part of them."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), **kwargs)
    study.optimize(objective, n_trials=n_trials)
    return TNASSampler(MetaSurrogate(SPACE, SMALL), seed=0), study


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_predictions_are_close_in_the_objectives_unit(direction: str) -> None:
    sampler, study = studied(direction=direction)
    mean, deviation = sampler.predict(study, ALL)
    values = np.array([value_of(row) for row in ROWS])
    error = mean - values
    assert error.std() < values.std() / 2
    assert (deviation > 0).all()
    assert np.mean(np.abs(error) < 2 * deviation) > 0.85
    tried, _ = sampler.predict(study, [t.params for t in study.trials])
    np.testing.assert_allclose(tried, [t.value for t in study.trials], atol=3)


def test_predictions_follow_the_objectives_unit() -> None:
    sampler, study = studied(direction="maximize")
    _, scaled = studied(lambda trial: -1e-3 * plain(trial) + 7, direction="minimize")
    mean, deviation = sampler.predict(study, ALL)
    other_mean, other_deviation = sampler.predict(scaled, ALL)
    np.testing.assert_allclose(other_mean, -1e-3 * mean + 7, rtol=1e-6)
    np.testing.assert_allclose(other_deviation, 1e-3 * deviation, rtol=1e-5)


def test_what_is_equal_everywhere_is_predicted_so() -> None:
    sampler, study = studied(lambda trial: SPACE.suggest(trial) and 3.5)
    mean, deviation = sampler.predict(study, ALL[:5])
    assert mean.tolist() == [3.5] * 5
    assert deviation.tolist() == [0.0] * 5


def test_hyperparameters_count() -> None:
    def tuned(trial: Trial) -> float:
        return plain(trial) - 20 * abs(trial.suggest_float("x", 0.0, 1.0) - 0.3)

    sampler, study = studied(tuned, 60, direction="maximize")
    good, bad = ([{**p, "x": x} for p in ALL[::9]] for x in (0.3, 1.0))
    difference = sampler.predict(study, good)[0] - sampler.predict(study, bad)[0]
    assert difference.mean() == pytest.approx(14, abs=5)


def test_predicting_changes_no_suggestion() -> None:
    found = []
    for asks in (False, True):
        study = optuna.create_study(direction="maximize")
        study.sampler = sampler = TNASSampler(MetaSurrogate(SPACE, SMALL), seed=0)
        for _ in range(12):
            study.optimize(plain, n_trials=1)
            if asks:
                sampler.predict(study, ALL[:3])
        found.append([t.params for t in study.trials])
    assert found[0] == found[1]


def test_nothing_asked_nothing_predicted() -> None:
    sampler, study = studied(n_trials=5)
    assert [len(part) for part in sampler.predict(study, [])] == [0, 0]


def test_bad_input_is_named() -> None:
    sampler, study = studied(n_trials=5)
    with pytest.raises(SpaceError, match="op_a"):
        sampler.predict(study, [{**ALL[0], "op_a": "huge"}])
    empty = optuna.create_study(study_name="nothing yet")
    with pytest.raises(StudyError, match=r"'nothing yet' has no completed trial.*op_a"):
        sampler.predict(empty, ALL[:1])
    several = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.raises(StudyError, match="no completed trial"):
        sampler.predict(several, ALL[:1])
