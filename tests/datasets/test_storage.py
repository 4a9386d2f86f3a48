"""Data set samples as bytes and as artifacts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore
import pytest

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import DatasetError
from tests.datasets.arrays import images
from tests.datasets.arrays import labels


def test_bytes_keep_the_sample() -> None:
    sample = DatasetSample.from_arrays(images(30, 16, 16, 3), labels(30))
    again = DatasetSample.from_bytes(sample.to_bytes())
    np.testing.assert_allclose(again.points, sample.points, rtol=1e-3, atol=1e-3)
    assert again.points.dtype == np.float32
    assert (again.labels == sample.labels).all()
    assert again.labels.dtype == np.int64
    assert len(sample.to_bytes()) < 0.7 * sample.points.nbytes


@pytest.mark.parametrize(("scale", "offset"), [(1e5, 0), (1e-9, 0), (1, 2000), (0, 7), (1, 0)])
def test_bytes_keep_features_of_any_unit(scale: float, offset: float) -> None:
    features = scale * np.random.default_rng(0).standard_normal((30, 4)) + offset
    sample = DatasetSample.from_features(features, labels(30))
    again = DatasetSample.from_bytes(sample.to_bytes())
    tolerance = 0.1 * scale if scale else 0.01
    np.testing.assert_allclose(again.points, sample.points, rtol=0, atol=tolerance)


def test_bytes_keep_many_classes() -> None:
    sample = DatasetSample.from_features(np.zeros((40_000, 1)), np.arange(40_000))
    assert DatasetSample.from_bytes(sample.to_bytes()).n_classes == 40_000


@pytest.mark.parametrize("length", [0, 1, 10, 100, -1, -30])
def test_damaged_bytes_are_refused(length: int) -> None:
    content = DatasetSample.from_arrays(images(30, 16, 16), labels(30)).to_bytes()
    with pytest.raises(DatasetError, match="Not a data set sample"):
        DatasetSample.from_bytes(content[:length])


@pytest.mark.parametrize(
    ("points", "classes"),
    [
        (np.zeros((4, 2)), np.array([0, 2, 0, 2])),
        (np.zeros((4, 2)), np.array([-1, 0, 0, 1])),
        (np.zeros((4, 2)), np.array([0, 1])),
        (np.zeros((0, 2)), np.array([], dtype=np.int64)),
        (np.zeros(4), np.array([0, 1, 0, 1])),
        (np.full((4, 2), np.nan), np.array([0, 1, 0, 1])),
        (np.array([{}] * 4), np.array([0, 1, 0, 1])),
    ],
)
def test_foreign_files_are_refused(
    tmp_path: Path, points: np.ndarray, classes: np.ndarray
) -> None:
    np.savez(tmp_path / "sample.npz", points=points, labels=classes)
    with pytest.raises(DatasetError, match="Not a data set sample"):
        DatasetSample.from_bytes((tmp_path / "sample.npz").read_bytes())


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_study_carries_its_sample(tmp_path: Path, in_memory: bool) -> None:
    store = FileSystemArtifactStore(tmp_path)
    storage = None if in_memory else f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(storage=storage)
    assert DatasetSample.attached_to(study, store) is None
    for seed in range(6):  # the one that was attached last counts, however storages order them
        sample = DatasetSample.from_arrays(images(9, 8, 8, seed=seed), labels(9))
        sample.attach(study, store)
        found = DatasetSample.attached_to(study, store)
        assert found is not None
        np.testing.assert_allclose(found.points, sample.points, rtol=1e-3, atol=1e-2)


def test_other_artifacts_of_the_study_are_left_alone(tmp_path: Path) -> None:
    store = FileSystemArtifactStore(tmp_path)
    study = optuna.create_study()
    (tmp_path / "notes.npz").write_text("mine")
    optuna.artifacts.upload_artifact(
        study_or_trial=study, file_path=str(tmp_path / "notes.npz"), artifact_store=store
    )
    assert DatasetSample.attached_to(study, store) is None
