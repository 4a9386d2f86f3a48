from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
import os
from pathlib import Path

import numpy as np
from optuna.samplers import RandomSampler
import pytest
from scipy.stats import spearmanr

from benchmarks.past_settings import PastSetting
from benchmarks.questions import unfinished
from benchmarks.questions.unfinished import Progress
from benchmarks.questions.unfinished import Trainings
from benchmarks.run import Search
from benchmarks.tasks import Measurement
from benchmarks.tasks import TableTask
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node


SPACE = CellSpace([Node("a", [*"uvwx"]), Node("b", [*"uvwx"], ["a"])])
VALUE = np.arange(16.0)
TABLE = Trainings(
    SPACE,
    TableTask(np.arange(16).reshape(4, 4), VALUE, VALUE),
    steps=(12,),
    costs=(0.06,),
    rest=1.0,
    end=200,
    reports=VALUE[None],
)
HONEST = Trainings(SPACE, TABLE.task, (1, 2), (0.25, 0.25), 0.5, 4, np.stack([VALUE] * 2))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(unfinished, "sampler_of", lambda search: RandomSampler(seed=0))
    yield


def search(method: str, trials: int = 10) -> Search:
    return Search("nasbench201", "c10", method, 0, PastSetting(), trials, Path())


def states(monkeypatch: pytest.MonkeyPatch, method: str, at_hand: Trainings) -> list[Progress]:
    monkeypatch.setattr(unfinished, "trainings", lambda space, target: at_hand)
    return [*islice(unfinished.states(search(method)), 40)]


def test_a_trial_without_reports_costs_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    found = states(monkeypatch, "random", TABLE)
    assert [s.cost for s in found] == [*range(1, 41)]
    assert [s.completed for s in found] == [s.begun for s in found] == [*range(1, 41)]


@pytest.mark.parametrize(("at_hand", "whole"), [(TABLE, 1.06), (HONEST, 1.0)])
def test_costs_are_those_of_what_was_trained(
    monkeypatch: pytest.MonkeyPatch, at_hand: Trainings, whole: float
) -> None:
    found = states(monkeypatch, "random:median", at_hand)
    last = found[-1]
    assert last.begun == 40 and 5 <= last.completed < 30
    steps = np.diff([0.0, *(s.cost for s in found)])
    completed = np.diff([0, *(s.completed for s in found)]) == 1
    assert steps[completed] == pytest.approx(whole)
    assert steps[~completed].max() < 1
    assert last.cost == pytest.approx(steps.sum())


def test_records_are_of_what_was_completed_by_each_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    found = states(monkeypatch, "random:median", TABLE)
    records = unfinished.run_search(search("random:median", trials=8))
    assert [r["trial"] for r in records] == [*range(8)]
    assert records[0]["regret"] == 1 and records[0]["completed"] == 0  # 1.06 is more than 1
    for record in records:
        by_then = [s for s in found if s.cost <= record["trial"] + 1]
        assert record["completed"] == (by_then[-1].completed if by_then else 0)


def test_screening_trains_the_best_by_their_first_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "trainings", lambda space, target: TABLE)
    at = unfinished.screened(search("random:screened"), 10)
    assert (at.cost, at.begun, at.completed) == (10, 83, 5)
    assert at.best is not None and at.best.value == 15


def test_the_best_is_the_one_with_the_highest_value() -> None:
    at = Progress()
    for value in (1.0, 3.0, 2.0):
        at = at.spent(1.0, begun=1).with_completed(Measurement(0, value, -value))
    assert (at.cost, at.begun, at.completed) == (3, 3, 3)
    assert at.best is not None and at.best.true == -3


def test_rows_compare_with_the_sampler_that_reports_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unfinished, "trainings", lambda space, target: TABLE)
    monkeypatch.setattr(unfinished, "BUDGETS", (2, 8))
    methods = ["random", "random:median", "other"]
    records = [r for m in methods[:2] for r in unfinished.run_search(search(m, trials=8))]
    plain, pruned = unfinished.rows(records, methods)
    assert plain[:2] == ["random", "1"] and len(plain) == len(pruned) == 5
    regrets = [records[7]["regret"], records[15]["regret"]]
    assert plain[3] == f"{regrets[0]:.3f}"
    assert pruned[3].startswith(f"{regrets[1]:.3f} ({regrets[1] - regrets[0]:+.3f} [")
    assert pruned[4] == f"{records[15]['begun']} / {records[15]['completed']}"


@pytest.mark.skipif("OPTUNA_TNAS_DATA" not in os.environ, reason="needs OPTUNA_TNAS_DATA")
def test_the_table_is_read() -> None:
    found = unfinished.trainings("nasbench201", "c10")
    assert found.reports.shape == (1, 15_625)
    row = found.space.sample(1, np.random.default_rng(0))[0]
    assert 0 < found.reports[0][found.task.evaluate(row).network] <= 100


def test_image_sets_have_a_report_after_each_epoch() -> None:
    found = unfinished.trainings("imagesets", "sklearn_digits")
    assert found.steps == (1, 2, 3) and found.end == 4
    assert sum(found.costs) + found.rest == 1
    assert found.reports.shape == (3, 100)
    last = [found.reports[-1][found.task.evaluate(row).network] for row in found.space.enumerate()]
    final = [found.task.evaluate(row).value for row in found.space.enumerate()]
    assert spearmanr(last, final).statistic > 0.9
