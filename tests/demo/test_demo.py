"""The demo, small but real: it meta-trains, trains cells, and fills the dashboard."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest

from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas.demo import demo
from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.demo.cell_training import train_and_evaluate
from optuna_tnas.demo.demo import Demo
from optuna_tnas.demo.demo import Row
from optuna_tnas.demo.image_sets import digits
from optuna_tnas.demo.image_sets import ImageSet
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.errors import StudyError
from optuna_tnas.meta.training import past_studies
from tests.small_config import BRIEF
from tests.small_config import SMALL


QUICK = Recipe(epochs=1, max_images=256, resolution=8)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('demo')}/demo.db"


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without meta-training, which takes most of the time."""
    monkeypatch.setattr(
        demo, "meta_train", lambda history, **_: MetaSurrogate(history.space, SMALL)
    )


@pytest.fixture(scope="module")
def rows(storage: str) -> list[Row]:
    """With a brief meta-training: what its weights are worth is told elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "meta_train", partial(meta_train, config=BRIEF))
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
    """Its first cell is of the best 1% by other image sets' cells, whatever the weights are."""
    study = optuna.load_study(study_name="digits-tnas-0", storage=storage)
    history = shipped_history().without("sklearn_digits")
    surrogate = MetaSurrogate(history.space)
    surrogate.past = past_studies(surrogate, history)
    first = history.space.encode(study.trials[0].params)[None]
    features = surrogate.study_model(None).features
    X = history.space.enumerate()
    predicted = [features(rows)[:, features.blocks.predictions].sum(dim=1) for rows in (first, X)]
    assert (predicted[1] > predicted[0]).double().mean() < 0.01


def test_a_second_run_continues_and_trains_nothing_twice(
    rows: list[Row], storage: str, untrained: None
) -> None:
    again = Demo(storage, n_trials=6, n_seeds=1, seed=0, recipe=QUICK).run()
    assert [row.best for row in again] == [row.best for row in rows]
    study = optuna.load_study(study_name="digits-tnas-0", storage=storage)
    assert len(study.trials) == 6


def test_studies_of_another_recipe_are_not_mixed_in(
    rows: list[Row], storage: str, untrained: None
) -> None:
    with pytest.raises(StudyError, match="another --storage"):
        Demo(storage, n_trials=6, n_seeds=1, seed=0, recipe=Recipe(epochs=2)).run()


# --- hyper-parameters -----------------------------------------------------------------------


def test_hyperparameters_are_searched_and_trained_with_the_cell(
    tmp_path: Path, untrained: None
) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    arguments = (url, 4, 1, 0, QUICK, _stripes())
    rows = Demo(*arguments, hyperparameters=True).run()
    Demo(*arguments).run()
    names = ("width", "learning_rate", "weight_decay")
    for row in rows:
        name = f"stripes-{row.method.lower()}-hyperparameters-0"
        study = optuna.load_study(study_name=name, storage=url)
        assert len(study.trials) == 4 and row.best == study.best_value
        assert all({*names} < t.params.keys() for t in study.trials)
        for trial in study.trials:  # they are what was trained
            recipe = replace(QUICK, **{n: trial.params[n] for n in names})
            cell = [v for n, v in trial.params.items() if n not in names]
            data = _stripes()
            images = (data.images, data.labels, data.split)
            assert train_and_evaluate(cell, *images, recipe, 0).log_loss == trial.value
    without = optuna.load_study(study_name="stripes-tnas-0", storage=url)
    assert not {*names} & without.trials[0].params.keys()


def test_hyperparameters_are_sampled_with_the_cell_from_the_second_trial(
    tmp_path: Path, untrained: None, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    Demo(url, 4, 1, 0, QUICK, _stripes(), hyperparameters=True).run()
    study = optuna.load_study(study_name="stripes-tnas-hyperparameters-0", storage=url)
    key = "tnas:architecture:"
    claims = [v for t in study.trials for k, v in t.system_attrs.items() if k.startswith(key)]
    assert [len(claim) for claim in claims] == [6, 9, 9, 9]
    assert "sampled independently" not in caplog.text


# --- other image sets -----------------------------------------------------------------------


def _stripes(seed: int = 0) -> ImageSet:
    """Two classes of noise, lying and standing."""
    rng = np.random.default_rng(seed)
    lying = np.repeat(rng.integers(0, 256, size=(60, 8, 1, 1), dtype=np.uint8), 8, axis=2)
    images = np.concatenate([lying[:30], lying[30:].transpose(0, 2, 1, 3)])
    return ImageSet("stripes", images, np.arange(60) // 30, np.arange(60) % 5 // 4)


def test_random_search_may_have_more_trials(
    tmp_path: Path, untrained: None, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    rows = Demo(url, 2, 2, 0, QUICK, data=_stripes(), n_random_trials=5).run()
    assert [(r.method, r.seed, r.trials) for r in rows] == [
        ("TNAS", 0, 2),
        ("random", 0, 5),
        ("TNAS", 1, 2),
        ("random", 1, 5),
    ]
    for row in rows:
        name = f"stripes-{row.method.lower()}-{row.seed}"
        study = optuna.load_study(study_name=name, storage=url)
        assert len(study.trials) == row.trials and row.best == study.best_value
    printed = capsys.readouterr().out
    assert "stripes: 48 training and 12 held-out images" in printed
    assert "Not learning from" not in printed
    text = demo.table(rows)
    assert "| TNAS | 0 | 2 |" in text and "| random | 1 | 5 |" in text
    assert "| **TNAS** | mean | 2 |" in text and "| **random** | mean | 5 |" in text


def test_data_sets_share_a_storage(rows: list[Row], storage: str, untrained: None) -> None:
    Demo(storage, 1, 1, 0, QUICK, data=_stripes()).run()
    names = set(optuna.get_all_study_names(storage))
    assert names == {f"{d}-{m}-0" for d in ("digits", "stripes") for m in ("tnas", "random")}


def test_other_images_of_the_same_name_are_not_mixed_in(tmp_path: Path, untrained: None) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    Demo(url, 1, 1, 0, QUICK, data=_stripes()).run()
    with pytest.raises(StudyError, match=r"'stripes-tnas-0'.*another dataset.*another --storage"):
        Demo(url, 2, 1, 0, QUICK, data=_stripes(seed=1)).run()
    for method in ("tnas", "random"):
        study = optuna.load_study(study_name=f"stripes-{method}-0", storage=url)
        assert len(study.trials) == 1
        assert study.user_attrs["dataset"] == _stripes().fingerprint


@pytest.mark.parametrize("name", ["digits", "renamed"])
def test_the_past_has_no_study_on_the_same_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    learned_from: list[str] = []

    def learn(history: MetaDataset, **_: object) -> MetaSurrogate:
        learned_from.extend(task.name for task in history.tasks)
        return MetaSurrogate(history.space, SMALL)

    monkeypatch.setattr(demo, "meta_train", learn)
    data = replace(digits(), name=name)
    Demo(f"sqlite:///{tmp_path}/demo.db", 1, 1, 0, QUICK, data=data).run()
    everything = [task.name for task in shipped_history().tasks]
    assert learned_from == [task for task in everything if task != "sklearn_digits"]
    assert "Not learning from sklearn_digits: " in capsys.readouterr().out
