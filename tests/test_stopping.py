"""MinImprovementCallback: when a search ends."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.study import Study
from optuna.terminator import BestValueStagnationEvaluator
from optuna.terminator import StaticErrorEvaluator
from optuna.terminator import Terminator
from optuna.terminator import TerminatorCallback
from optuna.trial import Trial
import pytest

from optuna_tnas import MinImprovementCallback
from optuna_tnas import OptunaTNASError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from tests.searches import sampler_of


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks


def search(
    unit: float = 1.0, noise: float = 0.0, n_trials: int = 80, **kwargs: float | None
) -> Study:
    def train(trial: Trial) -> float:
        row = SPACE.encode(SPACE.suggest(trial))
        error = noise * np.random.default_rng(trial.number).normal()
        return float(unit * ((row * [1.0, 0.8, 0.6, 0.4]).sum() + error))

    sampler = sampler_of(SPACE)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    arguments = {"threshold": 0.01 * unit, "n_min_trials": 5, **kwargs}
    callback = MinImprovementCallback(sampler, **arguments)  # type: ignore[arg-type]
    study.optimize(train, n_trials=n_trials, callbacks=[callback])
    return study


def test_a_search_ends_when_the_best_is_found() -> None:
    study = search()
    assert 5 <= len(study.trials) < 60
    assert study.best_value == pytest.approx(8.4)


def test_the_threshold_is_in_the_objectives_unit() -> None:
    assert len(search(unit=1e4).trials) == len(search().trials)


def test_the_higher_the_threshold_the_earlier() -> None:
    assert len(search(threshold=0.5).trials) < len(search(threshold=0.001).trials)


def test_without_a_threshold_the_noise_is_one() -> None:
    quiet, noisy = (search(noise=noise, threshold=None) for noise in (0.01, 2.0))
    assert len(noisy.trials) < len(quiet.trials) < 80


def test_not_before_so_many_trials() -> None:
    assert len(search(threshold=1e9, n_min_trials=12).trials) == 12


def test_without_a_value_nothing_ends() -> None:
    sampler = sampler_of(SPACE)
    study = optuna.create_study(sampler=sampler)
    callback = MinImprovementCallback(sampler, 1e9, n_min_trials=0)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 3, callbacks=[callback])
    assert len(study.trials) == 3


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_bad_thresholds_are_named(threshold: float) -> None:
    with pytest.raises(OptunaTNASError, match=f"threshold cannot be {threshold}"):
        MinImprovementCallback(sampler_of(SPACE), threshold)


@pytest.mark.filterwarnings("ignore:.*terminator:FutureWarning")  # until Optuna 6
def test_optunas_terminator_ends_a_search_too() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler_of(SPACE))
    ends = Terminator(
        improvement_evaluator=BestValueStagnationEvaluator(max_stagnation_trials=4),
        error_evaluator=StaticErrorEvaluator(0),
        min_n_trials=5,
    )
    study.optimize(
        lambda trial: float(SPACE.encode(SPACE.suggest(trial)).sum()),
        n_trials=40,
        callbacks=[TerminatorCallback(ends)],
    )
    assert 5 <= len(study.trials) == study.best_trial.number + 6
