from __future__ import annotations

import numpy as np
import optuna
from optuna.samplers import TPESampler

from benchmarks.peers import top5_tpe
from benchmarks.peers._sequential import best_of_past
from benchmarks.peers._sequential import finished
from tests.benchmarks.peers.toy import Toy


def test_first_the_five_best_of_each_study(toy: Toy) -> None:
    setting = toy.setting()
    expected = {
        tuple(row)
        for X, y in (finished(study, toy.space) for study in setting.history)
        for row in X[np.argsort(-y)[:5]]
    }
    tried = toy.search(top5_tpe.sampler(setting), 12)
    assert {tuple(row) for row in tried[: len(expected)]} == expected


def test_then_tpe(toy: Toy) -> None:
    """As if a user had enqueued them."""
    setting = toy.setting(5)
    ours = toy.search(top5_tpe.sampler(setting), 25)
    initial = best_of_past(setting.history, toy.space, 10, each=5)
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=5))
    for row in initial:
        study.enqueue_trial(toy.space.decode(row))
    study.optimize(
        lambda trial: float(toy.target[tuple(toy.space.encode(toy.space.suggest(trial)))]), 25
    )
    theirs = np.array([toy.space.encode(trial.params) for trial in study.trials])
    np.testing.assert_array_equal(ours, theirs)
