from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.past_settings import PastSetting
from benchmarks.questions import dataset_encoder
from benchmarks.run import Search
from optuna_tnas import Config
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from tests.small_config import BRIEF


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: BRIEF))


@pytest.fixture(scope="module")
def past() -> MetaDataset:
    return dataset_encoder.history()


def search(target: str, method: str, folder: Path, n: int = 6) -> Search:
    return Search("imagesets", target, method, 0, PastSetting(100), n, folder)


@pytest.mark.parametrize("method", dataset_encoder.TOLD)
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


def test_meta_features_are_what_they_say(past: MetaDataset) -> None:
    known = {task.name: task.dataset for task in past.tasks}
    cifar = dataset_encoder.meta_features(known["cifar10"]).points[0]
    np.testing.assert_allclose(cifar, [1, 0, np.log2(2500), np.log2(10)], rtol=1e-3)
    digits = dataset_encoder.meta_features(known["sklearn_digits"]).points[0]
    assert digits[0] == 0
    assert digits[1] == -2


def test_the_table_is_the_mean_over_sets_and_seeds_that_all_methods_have() -> None:
    rng = np.random.default_rng(0)
    records = [
        {
            "method": method,
            "target": target,
            "seed": seed,
            "trial": trial,
            "spearman": float(shift),
            "nlpd": float(rng.normal()),
            "regret": 0.25,
        }
        for shift, method in enumerate(dataset_encoder.TOLD)
        for target in ("a", "b")
        for seed in range(4 if method == "no_dataset" else 3)
        for trial in range(50)
    ]
    text = dataset_encoder.table(records)
    assert "2 image sets, 3 seeds" in text
    assert "| no_dataset | 1.000 [+1.000, +1.000] |" in text
    assert text.count("0.250 [+0.000, +0.000]") == 2 * len(dataset_encoder.BUDGETS)
