"""Samples of data sets: from arrays of all kinds, and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.datasets.sample import _MIN_PER_CLASS
from optuna_tnas.errors import DatasetError
from tests.datasets.arrays import images
from tests.datasets.arrays import labels


# --- from arrays ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [(9, 28, 28), (9, 28, 28, 1), (9, 32, 32, 3), (9, 64, 48, 3), (9, 8, 8), (9, 1, 1), (9, 5)],
)
def test_every_kind_of_array_has_the_same_width(shape: tuple[int, ...]) -> None:
    sample = DatasetSample.from_arrays(images(*shape), labels(9))
    assert sample.points.shape == (9, N_FEATURES)
    assert sample.points.dtype == np.float32
    assert np.isfinite(sample.points).all()
    assert sample.n_features == N_FEATURES
    assert sample.n_classes == 3
    assert sample.labels.dtype == np.int64


def test_gray_images_are_images_with_equal_channels() -> None:
    gray = images(9, 16, 16)
    expected = DatasetSample.from_arrays(gray, labels(9)).points
    for other in (gray[..., None], gray[..., None].repeat(3, axis=-1)):
        np.testing.assert_allclose(DatasetSample.from_arrays(other, labels(9)).points, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_parts_of_255(dtype: type) -> None:
    as_bytes = images(9, 16, 16, 3)
    a = DatasetSample.from_arrays(as_bytes, labels(9)).points
    b = DatasetSample.from_arrays((as_bytes / 255).astype(dtype), labels(9)).points
    np.testing.assert_allclose(a, b, atol=2e-2 if dtype == np.float16 else 1e-4)


def test_lists_and_tensors_are_arrays() -> None:
    array = images(9, 8, 8)
    expected = DatasetSample.from_arrays(array, labels(9)).points
    for data in (array.tolist(), torch.from_numpy(array)):
        np.testing.assert_allclose(DatasetSample.from_arrays(data, labels(9)).points, expected)


@pytest.mark.parametrize("dtype", [str, np.int8, np.float32, object, bool])
def test_labels_of_any_type_are_classes(dtype: type) -> None:
    sample = DatasetSample.from_arrays(images(8, 8, 8), labels(8, 2).astype(dtype))
    assert sorted(sample.labels) == [0] * 4 + [1] * 4


def test_classes_follow_the_labels() -> None:
    points = np.arange(20.0).reshape(10, 2)
    names = np.array(["b", "a", "c", "b", "a", "c", "b", "a", "c", "c"])
    sample = DatasetSample.from_features(points, names)
    for point, label in zip(sample.points, sample.labels, strict=True):
        assert "abc"[label] == names[int(point[0]) // 2]


def test_colors_are_means_on_a_grid() -> None:
    image = np.zeros((32, 32, 3))
    image[:8, 24:, 1] = 1.0  # upper right, green
    colors = DatasetSample.from_arrays(np.stack([image, image]), [0, 1]).points[0, :48]
    expected = np.zeros((3, 4, 4))
    expected[1, 0, 3] = 1.0
    np.testing.assert_allclose(colors.reshape(3, 4, 4), expected, atol=1e-6)


def test_orientations_tell_stripes_apart() -> None:
    columns = np.tile(np.sin(np.arange(32)) > 0, (32, 1)).astype(float)
    flat, upright = (
        DatasetSample.from_arrays(np.stack([s, s]), [0, 1]).points[0, 48:176].reshape(16, 8)
        for s in (columns, columns.T)
    )
    assert (flat.sum(axis=0).argmax(), upright.sum(axis=0).argmax()) == (0, 4)


def test_spectrum_tells_coarse_from_fine() -> None:
    t = np.arange(32) * 2 * np.pi / 32
    bands = []
    for frequency in (1, 3, 6, 12):
        wave = np.tile(0.5 + 0.5 * np.sin(frequency * t), (32, 1))
        points = DatasetSample.from_arrays(np.stack([wave, wave]), [0, 1]).points
        bands.append(int(points[0, 179:183].argmax()))
    assert bands == [0, 1, 2, 3]


def test_the_side_of_images_is_a_feature() -> None:
    for side, expected in [(16, -1), (32, 0), (64, 1)]:
        sample = DatasetSample.from_arrays(images(4, side, side), labels(4))
        assert (sample.points[:, 183] == expected).all()


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (5,)])
def test_the_last_features_are_the_sizes_of_the_data_set(shape: tuple[int, ...]) -> None:
    """Of the whole data set, however few of its points the sample keeps."""
    sample = DatasetSample.from_arrays(images(1024, *shape), labels(1024, 4))
    assert len(sample.points) < 1024
    assert (sample.points[:, -2:] == [10, 2]).all()


def test_units_of_a_table_do_not_matter() -> None:
    table = np.random.default_rng(0).standard_normal((40, 6))
    a = DatasetSample.from_arrays(table, labels(40)).points
    b = DatasetSample.from_arrays(table * [1, 10, 1e-6, 1e9, 3, 5] + 7, labels(40)).points
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_constant_columns_say_nothing() -> None:
    table = np.random.default_rng(0).standard_normal((40, 6))
    table[:, 2:] = 3.0
    points = DatasetSample.from_arrays(table, labels(40)).points
    assert np.isfinite(points).all()
    assert np.linalg.matrix_rank(points[:, :-2]) == 2


def test_features_are_kept_as_they_are() -> None:
    features = np.random.default_rng(0).standard_normal((10, 7)).astype(np.float32)
    sample = DatasetSample.from_features(features, labels(10))
    assert sorted(map(tuple, sample.points)) == sorted(map(tuple, features))


def test_same_arrays_same_sample() -> None:
    data = np.random.default_rng(0).standard_normal((5000, 3))
    samples = []
    for seed in (0, 1):
        np.random.seed(seed)
        samples.append(DatasetSample.from_arrays(data, labels(5000)))
    assert (samples[0].points == samples[1].points).all()
    assert (samples[0].labels == samples[1].labels).all()


def test_large_classes_are_sampled_and_small_ones_kept() -> None:
    names = np.repeat([0, 1, 2], [10_000, 100, 3])
    sample = DatasetSample.from_features(np.arange(len(names))[:, None], names)
    counts = np.bincount(sample.labels)
    assert counts[0] == counts[1] < 100
    assert counts[2] == 3
    assert len(np.unique(sample.points)) == len(sample.points)
    assert sample.points[sample.labels == 0].max() > 5000  # not just the first ones


def test_many_classes_share_the_room() -> None:
    names = np.arange(50_000) % 1000
    sample = DatasetSample.from_features(np.zeros((50_000, 1)), names)
    assert (np.bincount(sample.labels) == _MIN_PER_CLASS).all()


def test_only_the_sampled_rows_of_a_huge_array_are_read(tmp_path: Path) -> None:
    """120 GB of images, none of which is on the disk."""
    shape = (10_000_000, 64, 64, 3)
    data = np.memmap(tmp_path / "images", dtype=np.uint8, mode="w+", shape=shape)
    sample = DatasetSample.from_arrays(data, np.arange(len(data)) % 2)
    assert sample.n_classes == 2


# --- bad input ------------------------------------------------------------------------------


TWO = [0, 1]
BAD_ARRAYS: dict[str, tuple[Any, Any, str]] = {
    "one class": (np.zeros((4, 3)), [1, 1, 1, 1], r"1 class.*at least two"),
    "one point": (np.zeros((1, 3)), [1], r"1 class.* 1 point"),
    "no points": (np.zeros((0, 3)), [], "no points"),
    "no features": (np.zeros((2, 0)), TWO, "no points"),
    "no pixels": (np.zeros((2, 0, 4)), TWO, "no points"),
    "too few labels": (np.zeros((4, 3)), TWO, "4 points.* one label a point"),
    "one-hot labels": (np.zeros((2, 3)), [[1, 0], [0, 1]], "labels of shape"),
    "mixed shapes": ([np.zeros(3), np.zeros(4)], TWO, "mixed shapes"),
    "text": ([["a"], ["b"]], TWO, "numeric"),
    "nothing": (None, TWO, "numeric"),
    "a number": (3, TWO, "no points"),
    "NaN": (np.array([[np.nan], [1.0]]), TWO, "NaN"),
    "infinite": (np.array([[np.inf], [1.0]]), TWO, "infinite"),
    "NaN labels": (np.zeros((3, 3)), [0.0, 1.0, np.nan], "labels have NaN"),
    "missing labels": (np.zeros((3, 3)), [None, "a", "b"], "mixed types"),
}
BAD_IMAGES: dict[str, tuple[Any, Any, str]] = {
    "channels first": (np.zeros((2, 3, 32, 32)), TWO, r"\(2, 3, 32, 32\)"),
    "four channels": (np.zeros((2, 8, 8, 4)), TWO, "1 or 3 channels"),
    "videos": (np.zeros((2, 8, 8, 8, 3)), TWO, "from_features"),
    "floats of 0..255": (np.full((2, 8, 8), 255.0), TWO, r"0\.\.1; these are float64 from 255"),
    "normalized images": (np.linspace(-2, 2, 128).reshape(2, 8, 8), TWO, "before any normal"),
    "16 bits": (np.full((2, 8, 8), 4000, dtype=np.uint16), TWO, "these are uint16"),
    "NaN images": (np.full((2, 8, 8), np.nan), TWO, "NaN"),
}
BAD_FEATURES: dict[str, tuple[Any, Any, str]] = {
    "images": (np.zeros((2, 8, 8)), TWO, r"n x F.*\(2, 8, 8\)"),
    "beyond single precision": (np.array([[1e300], [1.0]]), TWO, "infinite"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", [*BAD_ARRAYS, *BAD_IMAGES])
def test_bad_arrays_are_refused_with_a_remedy(kind: str) -> None:
    data, classes, text = (BAD_ARRAYS | BAD_IMAGES)[kind]
    with pytest.raises(DatasetError, match=f"(?s){text}"):
        DatasetSample.from_arrays(data, classes)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", [*BAD_ARRAYS, *BAD_FEATURES])
def test_bad_features_are_refused_with_a_remedy(kind: str) -> None:
    data, classes, text = (BAD_ARRAYS | BAD_FEATURES)[kind]
    with pytest.raises(DatasetError, match=f"(?s){text}"):
        DatasetSample.from_features(data, classes)


# --- drawing --------------------------------------------------------------------------------


@pytest.fixture
def uneven() -> DatasetSample:
    """Classes of 9, 4 and 1 points; a point's value tells which one it is."""
    return DatasetSample.from_features(np.arange(1, 15)[:, None], np.repeat([0, 1, 2], [9, 4, 1]))


@pytest.mark.parametrize("per_class", [1, 3, 9, 20])
def test_up_to_so_many_points_of_each_class_are_drawn(
    uneven: DatasetSample, per_class: int
) -> None:
    points, present = uneven.draw(9, per_class, np.random.default_rng(0))
    width = min(per_class, 9)
    assert points.shape == (3, width, 1)
    assert points.dtype == np.float32
    assert present.sum(axis=1).tolist() == [min(per_class, n) for n in (9, 4, 1)]
    assert (points[~present] == 0).all()
    for c in range(3):
        drawn = points[c, present[c], 0]
        assert set(drawn) <= set(uneven.points[uneven.labels == c, 0])
        assert len(set(drawn)) == len(drawn)


def test_each_draw_is_another_and_each_point_has_its_turn(uneven: DatasetSample) -> None:
    rng = np.random.default_rng(0)
    drawn = [tuple(sorted(uneven.draw(9, 3, rng)[0][0, :, 0])) for _ in range(100)]
    assert len(set(drawn)) > 20
    assert {value for row in drawn for value in row} == set(range(1, 10))
    again = tuple(sorted(uneven.draw(9, 3, np.random.default_rng(0))[0][0, :, 0]))
    assert again == drawn[0]


def test_repr_says_what_it_is() -> None:
    sample = DatasetSample.from_features(np.zeros((6, 4)), labels(6))
    assert repr(sample) == "DatasetSample(6 points, 3 classes, 4 features)"
