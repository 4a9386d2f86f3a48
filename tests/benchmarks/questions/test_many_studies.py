"""Many past studies: what is written is what Optuna reads, and what is measured."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import optuna
import pytest

from benchmarks.questions import many_studies
from optuna_tnas import Config
from optuna_tnas import MetaDataset
from optuna_tnas.spaces import NASBench201Space


SPACE = NASBench201Space()


def written(url: str, name: str, seed: int) -> np.ndarray:
    """The cells of a new study, each valued by the sum of its choices."""
    study = optuna.create_study(study_name=name, storage=url, direction="maximize")
    X = SPACE.sample(20, np.random.default_rng(seed))
    writer = many_studies.TrialWriter(url)
    writer.write(study, SPACE, X, X.sum(axis=1).astype(float).tolist())
    return X


def test_optuna_reads_what_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    cells = [written(url, "a", 0), written(url, "b", 1)]
    history = MetaDataset.from_storage(url, SPACE)
    assert [task.name for task in history.tasks] == ["a", "b"]
    assert not history.left_out
    for X, task in zip(cells, history.tasks, strict=True):
        assert (task.X == X).all()
        assert (task.y == X.sum(axis=1)).all()


def test_everything_is_measured(tmp_path: Path) -> None:
    url, checkpoint = f"sqlite:///{tmp_path}/history.db", str(tmp_path / "meta.pt")
    for seed in range(3):
        written(url, f"{seed}", seed)
    trained = many_studies.train(url, None, checkpoint, Config(outer_steps=1))
    found = {**trained, **many_studies.suggest(checkpoint)}
    assert found["studies"] == 3
    assert all(found[column] > 0 for column in many_studies.COLUMNS)


@pytest.mark.skipif("OPTUNA_TNAS_DATA" not in os.environ, reason="needs the tables")
def test_a_storage_is_filled_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    many_studies.write(url, 2, None)
    few = MetaDataset.from_storage(url, SPACE).tasks
    many_studies.write(url, 6, None)
    more = MetaDataset.from_storage(url, SPACE).tasks
    assert len({task.name for task in more}) == 6
    for a, b in zip(few, more, strict=False):
        assert (a.X == b.X).all()
        assert (a.y == b.y).all()
