from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import imagesets
from benchmarks.histories import Past
from benchmarks.run import Search
from optuna_tnas import Config
from optuna_tnas import MetaDataset


SMALL = Config(
    outer_steps=1, inner_steps=1, batch_size=16, architecture_hidden=8, points_per_class=3
)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: SMALL))


@pytest.fixture(scope="module")
def past() -> MetaDataset:
    return imagesets.history()


@pytest.mark.parametrize("method", imagesets.KNOWS_DATASETS)
def test_a_search_tries_every_measured_cell_once(method: str, past: MetaDataset) -> None:
    task = past.tasks[0]
    n = len(task.y)
    search = Search("imagesets", task.name, method, 0, Past(n), n, Path())
    records = imagesets.run_search(search)
    assert sorted(r["network"] for r in records) == list(range(n))
    assert records[-1]["regret"] == 0
    best, median = task.y.max(), np.median(task.y)
    first = task.y[records[0]["network"]]
    assert records[0]["regret"] == pytest.approx((best - first) / (best - median))


def test_only_one_method_is_told_the_data_sets(
    past: MetaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, int] = {}
    train = imagesets.meta_train
    for method in imagesets.KNOWS_DATASETS:

        def spy(history: MetaDataset, *, method: str = method, **kwargs: object) -> object:
            known[method] = sum(task.dataset is not None for task in history.tasks)
            assert past.tasks[1].name not in {task.name for task in history.tasks}
            return train(history, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(imagesets, "meta_train", spy)
        name = past.tasks[1].name
        imagesets.run_search(Search("imagesets", name, method, 0, Past(40), 6, Path()))
    assert known == {"tnas_paper": len(past.tasks) - 1, "ablation_no_dataset": 0}
