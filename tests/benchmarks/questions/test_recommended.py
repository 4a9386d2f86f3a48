from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
from optuna.trial import create_trial
import pytest

from benchmarks.past_settings import PastSetting
from benchmarks.questions import recommended
from benchmarks.run import drive
from benchmarks.run import Record
from benchmarks.run import Search
from benchmarks.tasks import Family
from benchmarks.tasks import RepeatedTask
from benchmarks.tasks import TableTask
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from tests.small_config import SMALL


OPS = ["skip", "pool", "conv", "wide"]
SPACE = CellSpace([Node("a", OPS), Node("b", OPS, ["a"]), Node("c", OPS, ["b"])])
TRUE = SPACE.enumerate() @ [1.0, 0.8, 0.6]
VALUE = TRUE + np.random.default_rng(0).normal(0, 1, len(TRUE))
NETWORK = np.arange(64).reshape(4, 4, 4)
TASK = TableTask(NETWORK, VALUE, TRUE)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommended, "family_of", lambda name: Family(SPACE, {"noisy": TASK}))
    monkeypatch.setattr(recommended, "setting_of", lambda search: None)
    monkeypatch.setattr(
        recommended, "meta_trained", lambda setting, preset: MetaSurrogate(SPACE, SMALL)
    )


def search(method: str, trials: int) -> Search:
    return Search("cells", "noisy", method, 0, PastSetting(), trials, Path())


def test_each_record_has_what_is_taken_of_the_trials_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recommended, "best_predicted", lambda study, sampler: study.trials[0])
    records = recommended.run_search(search("tnas", 20))
    assert [r["trial"] for r in records] == [*range(20)]
    assert {r["predicted_regret"] for r in records} == {records[0]["regret"]}
    least = np.array([r["least_regret"] for r in records])
    assert (np.diff(least) <= 0).all()
    assert (least <= [r["regret"] for r in records]).all() and least[-1] < records[-1]["regret"]


def test_the_best_of_the_earlier_trials_are_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommended, "N_AGAIN", 2)
    study = optuna.create_study(direction="maximize")
    values = [3.0, 5.0, 1.0, 4.0, 9.0, 0.0]  # the last two trainings are spent otherwise
    for row, value in zip(SPACE.enumerate(), values, strict=False):
        params = SPACE.decode(row)
        study.add_trial(
            create_trial(params=params, distributions=SPACE.distributions(), value=value)
        )
    second = {1: -2.0, 3: 3.0}
    repeated = recommended.trained_again(study, lambda trial: second[trial.number])
    assert [t.value for t in repeated.trials] == [3.0, 5.0, 1.0, 4.0, -2.0, 3.0]
    assert [t.params for t in repeated.trials[4:]] == [study.trials[i].params for i in (1, 3)]
    assert recommended.best_of_two(repeated).number == 3


def test_second_trainings_count_where_a_task_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommended, "AGAIN_AFTER", (12,))
    exact = RepeatedTask(NETWORK, VALUE, TRUE, 1e6 * TRUE)
    monkeypatch.setattr(recommended, "family_of", lambda name: Family(SPACE, {"noisy": exact}))
    *_, record = recommended.run_search(search("tnas", 12))
    plain = recommended.run_search(search("tnas", 7))[-1]
    assert record["again_regret"] == record["again_predicted_regret"] <= plain["regret"]
    assert "again_regret" not in plain


def test_asking_for_the_prediction_changes_no_search() -> None:
    sampler = TNASSampler(MetaSurrogate(SPACE, SMALL), seed=0)
    plain = drive(sampler, SPACE, TASK, 12)
    records = recommended.run_search(search("tnas", 12))
    assert [r["regret"] for r in records] == [r["regret"] for r in plain]


def test_the_mean_improved_on_is_that_of_the_best_completed_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, incumbent = [], recommended.best_mean

    def observed(acquisition: Acquisition, gp: object) -> object:
        best = incumbent(acquisition, gp)  # type: ignore[arg-type]
        (values,) = {tuple(g.train_targets.tolist()) for g in acquisition.mixture.gps}
        means = acquisition.mixture.mean(acquisition.mixture.gps[0].train_inputs[0])
        found.append((float(best), float(means.max()), max(values)))
        return best

    monkeypatch.setattr(recommended, "best_mean", observed)
    recommended.run_search(search("tnas:mean", 12))
    best, means, values = np.array(found).T
    np.testing.assert_allclose(best, means)
    assert (best < values).any()


def record(method: str, seed: int, trial: int, regrets: tuple[float, float, float]) -> Record:
    key = {"target": "noisy", "method": method, "seed": seed, "trial": trial}
    return key | dict(zip(recommended.TAKEN.values(), regrets, strict=False))


def test_rows_compare_pairs_with_the_best_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommended, "BUDGETS", (1, 2))
    plain = [record("tnas", s, t, (0.4, 0.4 - 0.1 * t, 0.0)) for s in (0, 1) for t in (0, 1)]
    other = [record("tnas:mean", 0, t, (0.5, 0.5, 0.1)) for t in (0, 1)]
    rows = [list(row) for row in recommended.rows(plain + other)]
    assert rows[0] == ["noisy", "tnas", "value", "2", "0.4000", "0.4000"]
    assert rows[1][2:] == [
        *("mean", "2", "0.4000 (+0.0000 [+0.0000, +0.0000])"),
        "0.3000 (-0.1000 [-0.1000, -0.1000])",
    ]
    assert rows[3][:4] == ["noisy", "tnas:mean", "value", "1"]
    assert [row[0] for row in rows] == 6 * ["noisy"] + 6 * ["all"]


def test_what_was_taken_at_some_budgets_only_is_shown_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recommended, "BUDGETS", (1, 2))
    records = [record("tnas", s, t, (0.4, 0.4, 0.0)) for s in (0, 1) for t in (0, 1)]
    for late in records[1::2]:
        late["again_regret"] = 0.1
    (again,) = (row for row in recommended.rows(records) if row[0::2][:2] == ["all", "again"])
    assert again[3:] == ["2", "-", "0.1000 (-0.3000 [-0.3000, -0.3000])"]
