from __future__ import annotations

import numpy as np
import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
import pytest

from benchmarks.questions import asynchronous
from benchmarks.questions.asynchronous import regret_at
from benchmarks.questions.asynchronous import rows
from benchmarks.questions.asynchronous import simulate
from benchmarks.tasks import TableTask
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node


SPACE = CellSpace([Node(n, ["x", "y", "z"], ["input"]) for n in "abc"])
TASK = TableTask(np.arange(27).reshape(3, 3, 3), np.arange(27.0), np.arange(27.0))


class Watched(RandomSampler):
    """Keeps how many trials were running and how many had ended before each suggestion."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.states: list[tuple[int, int]] = []

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        finished = [t.state.is_finished() for t in study.get_trials(deepcopy=False)]
        self.states.append((len(finished) - sum(finished), sum(finished)))


@pytest.mark.parametrize("n_workers", [1, 4])
def test_all_workers_are_busy_and_nothing_is_known_before_it_ends(n_workers: int) -> None:
    sampler, training = Watched(), np.linspace(1.0, 3.0, 27)
    ended = list(simulate(sampler, SPACE, TASK, training, n_workers, 30.0))
    times = [time for time, _ in ended]
    assert times == sorted(times)
    assert max(times) <= 30.0
    assert sampler.states[:n_workers] == [(i + 1, 0) for i in range(n_workers)]
    assert sampler.states[n_workers:] == [(n_workers, i + 1) for i in range(len(ended))]
    # Each worker's trainings fill its time but for the one that is cut off.
    trained = sum(training[found.network] for _, found in ended)
    assert n_workers * (30.0 - 3.0) < trained <= n_workers * 30.0


def test_one_worker_trains_one_network_after_the_other() -> None:
    training = np.linspace(1.0, 3.0, 27)
    ended = list(simulate(RandomSampler(seed=1), SPACE, TASK, training, 1, 20.0))
    lengths = np.diff([0.0, *(time for time, _ in ended)])
    assert lengths == pytest.approx([training[found.network] for _, found in ended])


def test_the_regret_at_a_time_is_that_of_the_last_trial_that_ended() -> None:
    records = [{"minute": 2.0, "regret": 0.5}, {"minute": 20.0, "regret": 0.1}]
    assert np.isnan(regret_at(records, 1.0))
    assert regret_at(records, 15.0) == 0.5
    assert regret_at(records, 20.0) == 0.1
    (row,) = rows({"gp@8": {0: records, 1: records}})
    assert row == ["8", "gp", "2", "2", "0.500 ± 0.000", *(3 * ["0.100 ± 0.000"])]


def test_training_times_have_the_mean_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    frame = pd.DataFrame({"c10_cost12_s": [50.0, 100.0, 150.0]})
    monkeypatch.setattr(asynchronous.reading, "table", lambda name: frame)
    asynchronous.minutes.cache_clear()
    assert asynchronous.minutes(10.0) == pytest.approx([5.0, 10.0, 15.0])
    asynchronous.minutes.cache_clear()
