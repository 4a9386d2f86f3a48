from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.past_settings import PastSetting
from benchmarks.peers import metad2a
from benchmarks.peers._datasets import Learning
from benchmarks.questions import dataset_encoder
from benchmarks.run import Search
from optuna_tnas import Config
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from tests.small_config import BRIEF


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: BRIEF))
    monkeypatch.setattr(metad2a, "PREDICTOR", Learning(8, 8, rate=1e-3, epochs=1, batch=600))


@pytest.fixture(scope="module")
def past() -> MetaDataset:
    return dataset_encoder.history()


def search(target: str, method: str, folder: Path, n: int = 6) -> Search:
    return Search("imagesets", target, method, 0, PastSetting(100), n, folder)


@pytest.mark.parametrize("method", dataset_encoder.METHODS)
def test_a_search_tries_every_measured_cell_once(
    method: str, past: MetaDataset, tmp_path: Path
) -> None:
    task = past.tasks[0]
    n = len(task.y)
    records = dataset_encoder.run_search(search(task.name, method, tmp_path, n))
    assert sorted(r["network"] for r in records) == list(range(n))
    assert records[-1]["regret"] == 0
    best, median = task.y.max(), np.median(task.y)
    first = task.y[records[0]["network"]]
    assert records[0]["regret"] == pytest.approx((best - first) / (best - median))
    assert -1 <= records[0]["spearman"] <= 1
    if method == "metad2a":
        assert records[0]["nlpd"] is None
    else:
        assert np.isfinite(records[0]["nlpd"])


@pytest.mark.parametrize("seed", range(3))
def test_every_image_set_is_left_out_once_a_seed(seed: int, past: MetaDataset) -> None:
    folds = dataset_encoder.folds(seed)
    names = sorted(name for fold in folds for name in fold)
    assert names == sorted(task.name for task in past.tasks)
    assert len(folds) == 3
    assert folds != dataset_encoder.folds(seed + 1)


@pytest.mark.parametrize("method", dataset_encoder.TOLD)
def test_what_is_learned_from_and_told(
    method: str, past: MetaDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, learned = dataset_encoder.meta_train, []

    def spy(history: MetaDataset, **kwargs: Any) -> MetaSurrogate:
        learned.append(history)
        return train(history, **kwargs)

    monkeypatch.setattr(dataset_encoder, "meta_train", spy)
    fold = dataset_encoder.folds(0)[1]
    for name in fold[:2]:
        dataset_encoder.run_search(search(name, method, tmp_path))
    (history,) = learned  # once for the fold
    assert {task.name for task in history.tasks} == {t.name for t in past.tasks} - set(fold)
    widths = {None if t.dataset is None else t.dataset.n_features for t in history.tasks}
    assert widths == {{"dataset_encoder": 186, "no_dataset": None, "meta_features": 4}[method]}


def test_metad2a_has_the_same_past_once_for_a_fold(past: MetaDataset, tmp_path: Path) -> None:
    fold = dataset_encoder.folds(0)[1]
    known = {task.name: task for task in past.tasks}
    first, second = (
        dataset_encoder.metad2a_setting(search(name, "metad2a", tmp_path), known[name])
        for name in fold[:2]
    )
    assert first.cache == second.cache
    assert first.dataset is known[fold[0]].dataset
    learned = MetaDataset.from_studies(first.history, first.space, datasets=first.samples)
    expected = past.without(*fold)
    assert [task.name for task in learned.tasks] == [task.name for task in expected.tasks]
    for found, task in zip(learned.tasks, expected.tasks, strict=True):
        assert found.dataset is task.dataset
        np.testing.assert_array_equal(found.X, task.X)
        np.testing.assert_array_equal(found.y, task.y)


def test_meta_features_are_what_they_say(past: MetaDataset) -> None:
    known = {task.name: task.dataset for task in past.tasks}
    cifar = dataset_encoder.meta_features(known["cifar10"]).points[0]
    np.testing.assert_allclose(cifar, [1, 0, np.log2(2500), np.log2(10)], rtol=1e-3)
    digits = dataset_encoder.meta_features(known["sklearn_digits"]).points[0]
    assert digits[0] == 0
    assert digits[1] == -2


def made_up(methods: Sequence[str]) -> list[dict[str, Any]]:
    """Records of three seeds, of ``no_dataset`` four, on two image sets."""
    rng = np.random.default_rng(0)
    return [
        {
            "method": method,
            "target": target,
            "seed": seed,
            "trial": trial,
            "spearman": float(shift),
            "nlpd": None if method == "metad2a" else float(rng.normal()),
            "regret": 0.25,
        }
        for shift, method in enumerate(methods)
        for target in ("a", "b")
        for seed in range(4 if method == "no_dataset" else 3)
        for trial in range(50)
    ]


def test_the_table_is_the_mean_over_sets_and_seeds_that_all_methods_have() -> None:
    text = dataset_encoder.table(made_up(list(dataset_encoder.TOLD)))
    assert "2 image sets, 3 seeds" in text
    assert "| no_dataset | 1.000 [+1.000, +1.000] |" in text
    assert text.count("0.250 [+0.000, +0.000]") == 2 * len(dataset_encoder.BUDGETS)
    assert "metad2a" not in text


def test_the_table_has_metad2a_where_the_records_do() -> None:
    text = dataset_encoder.table(made_up(dataset_encoder.METHODS))
    assert "| metad2a | 3.000 [+3.000, +3.000] | - | 0.250 [+0.000, +0.000] |" in text
    alone = dataset_encoder.table(made_up(["metad2a"]))
    assert "| metad2a | 0.000 | - | 0.250 |" in alone
    assert "no_dataset" not in alone


def test_methods_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[Search]] = []
    monkeypatch.setattr(dataset_encoder, "run", lambda searches, *_: asked.append(searches))
    monkeypatch.setattr(dataset_encoder, "table", lambda records: "")
    command = ["question", "--seeds", "1", "--out", str(tmp_path / "F.jsonl")]
    for options in ([], ["--methods", "metad2a"]):
        monkeypatch.setattr("sys.argv", [*command, *options])
        dataset_encoder.main()
    assert [{s.method for s in searches} for searches in asked] == [
        set(dataset_encoder.TOLD),
        {"metad2a"},
    ]
    monkeypatch.setattr("sys.argv", [*command, "--methods", "magic"])
    with pytest.raises(SystemExit):
        dataset_encoder.main()
