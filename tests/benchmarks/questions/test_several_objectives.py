from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import create_trial
import pytest

from benchmarks.past_settings import study_of
from benchmarks.peers import Setting
from benchmarks.questions.several_objectives import Front
from benchmarks.questions.several_objectives import FrontTask
from benchmarks.questions.several_objectives import METHODS
from benchmarks.questions.several_objectives import past_fronts
from benchmarks.questions.several_objectives import sampler_of
from benchmarks.tasks import TableTask
from optuna_tnas import Config
from tests.benchmarks.questions.in_order import InOrder
from tests.benchmarks.questions.in_order import SPACE
from tests.small_config import BRIEF


NETWORK = np.arange(8).reshape(4, 2)
VALUE = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
LATENCY = np.array([4.0, 1, 3, 2, 7, 5, 8, 6])


def cost(row: np.ndarray) -> float:
    return float(LATENCY[NETWORK[tuple(row)]])


def searched(value: np.ndarray = VALUE) -> FrontTask:
    true = np.stack([VALUE, -LATENCY], axis=1)
    return FrontTask(SPACE, TableTask(NETWORK, value, VALUE), cost, true)


def test_regret_is_the_share_of_the_hypervolume_that_is_missing() -> None:
    """Of the front (2, -1), (4, -2), (6, -5), (8, -6), from (1.4, -6.5)."""
    volume = 5.5 * (2 - 1.4) + 4.5 * (4 - 2) + 1.5 * (6 - 4) + 0.5 * (8 - 6)
    found = 5.5 * (2 - 1.4) + 4.5 * (4 - 2)  # of the first five
    regrets = searched().regrets(InOrder(), 8)
    assert regrets.shape == (2, 1)
    assert regrets[0, 0] == pytest.approx(1 - found / volume)


def test_the_good_part_of_the_front_is_above_the_median_accuracy() -> None:
    """Of (6, -5) and (8, -6), from (4.5, -6.1); none of the first five is there."""
    Y = np.stack([VALUE, -LATENCY], axis=1)
    good = Front(Y, 4.5)
    assert good.regret(Y) == pytest.approx(0)
    assert good.regret(Y[:4]) == 1
    volume = 1.1 * (6 - 4.5) + 0.1 * (8 - 6)
    assert good.regret(Y[[5]]) == pytest.approx(1 - 1.1 * 1.5 / volume)


def test_what_is_taken_is_chosen_by_the_measured_values() -> None:
    """By which the network 3 is not on the front."""
    misled = VALUE.copy()
    misled[3] = 0.0
    assert searched(misled).regrets(InOrder(), 8)[0, 0] > searched().regrets(InOrder(), 8)[0, 0]


def past(name: str, order: np.ndarray) -> Study:
    """A study of two objectives, the networks' values and latencies in another order."""
    study = optuna.create_study(study_name=name, directions=["maximize", "minimize"])
    for row in SPACE.enumerate():
        network = order[NETWORK[tuple(row)]]
        values = [VALUE[network], LATENCY[network]]
        params, distributions = SPACE.decode(row), SPACE.distributions()
        study.add_trial(create_trial(values=values, params=params, distributions=distributions))
    return study


def test_the_pasts_fronts_are_taken_in_turn_and_from_their_ends() -> None:
    """Those of the first study are the networks 1, 3, 5, 7, of the second 6, 4, 2, 0."""
    studies = [past("a", np.arange(8)), past("b", np.arange(8)[::-1])]
    found = [int(NETWORK[tuple(row)]) for row in past_fronts(studies, SPACE)]
    assert sorted(found[::2]) == [1, 3, 5, 7]
    assert sorted(found[1::2]) == [0, 2, 4, 6]
    assert set(found[:4]) == {1, 7, 6, 0}


@pytest.mark.parametrize("method", METHODS.split(","))
def test_every_method_searches_both(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: BRIEF))
    history = tuple(
        study_of(name, SPACE.distributions(), [SPACE.decode(r) for r in SPACE.enumerate()], values)
        for name, values in (("a", VALUE), ("b", VALUE[::-1]))
    )
    setting = Setting(SPACE, history, 0, tmp_path)
    sampler = sampler_of(method, setting, "target", "raspi4", lambda name, device: cost)
    regrets = searched().regrets(sampler, 5)
    assert regrets.shape == (2, 1)
    assert ((regrets >= 0) & (regrets <= 1)).all()
