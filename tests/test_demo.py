"""The demo, small but real: it meta-trains, trains cells on digits, and fills the dashboard."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from optuna_tnas import demo
from optuna_tnas import MetaSurrogate
from optuna_tnas.demo import Demo
from optuna_tnas.demo import Digits
from optuna_tnas.demo import Row
from optuna_tnas.errors import StudyError
from optuna_tnas.meta.shipped import shipped_history
from optuna_tnas.recipe import Recipe


QUICK = Recipe(epochs=1, max_images=256, resolution=8)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('demo')}/demo.db"


@pytest.fixture(scope="module")
def rows(storage: str) -> list[Row]:
    return Demo(storage, n_trials=6, n_seeds=1, seed=0, recipe=QUICK).run()


def test_both_searches_are_in_the_storage(rows: list[Row], storage: str) -> None:
    assert set(optuna.get_all_study_names(storage)) == {"digits-tnas-0", "digits-random-0"}
    for row in rows:
        study = optuna.load_study(study_name=f"digits-{row.method.lower()}-0", storage=storage)
        values = [trial.value for trial in study.trials]
        assert len(values) == 6
        assert row.best == min(values)  # type: ignore[type-var]
        assert all("accuracy" in trial.user_attrs for trial in study.trials)


def test_the_rows_compare_with_random(rows: list[Row]) -> None:
    ours, rival = rows
    assert (ours.method, rival.method) == ("TNAS", "random")
    assert rival.trials_to_match is not None
    assert (ours.trials_to_match is None) == (ours.best > rival.best)
    assert all(row.fresh != row.best for row in rows)
    text = demo.table(rows)
    assert f"{ours.best:.4f}" in text and f"{rival.fresh:.4f}" in text


def test_tnas_begins_where_the_past_was_good(rows: list[Row], storage: str) -> None:
    """Its first cell comes from the history, and that history does not hold digits."""
    study = optuna.load_study(study_name="digits-tnas-0", storage=storage)
    first = np.array(list(study.trials[0].params.values()))
    history = shipped_history().without(demo.TARGET)
    known = [list(history.space.decode(row).values()) for t in history.tasks for row in t.X]
    assert first.tolist() in known


def test_a_second_run_continues_and_trains_nothing_twice(
    rows: list[Row], storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "meta_train", lambda history, **_: MetaSurrogate(history.space))
    again = Demo(storage, n_trials=6, n_seeds=1, seed=0, recipe=QUICK).run()
    assert [row.best for row in again] == [row.best for row in rows]
    study = optuna.load_study(study_name="digits-tnas-0", storage=storage)
    assert len(study.trials) == 6


def test_studies_of_another_recipe_are_not_mixed_in(
    rows: list[Row], storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "meta_train", lambda history, **_: MetaSurrogate(history.space))
    with pytest.raises(StudyError, match="another --storage"):
        Demo(storage, n_trials=6, n_seeds=1, seed=0, recipe=Recipe(epochs=2)).run()


def test_digits_are_split_without_overlap() -> None:
    digits = Digits.load()
    assert digits.images.shape == (1797, 8, 8, 1) and digits.images.dtype == np.uint8
    assert set(np.unique(digits.labels[digits.split == 1])) == set(range(10))
    assert digits.sample().n_classes == 10
