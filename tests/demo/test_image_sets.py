"""Image sets from folders and from arrays, and what is wrong with some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optuna_tnas.demo import image_sets
from optuna_tnas.demo.image_sets import ImageSet
from optuna_tnas.errors import DatasetError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def by_class(folder: Path, classes: dict[str, list[np.ndarray]]) -> Path:
    """A folder of PNG files."""
    Image = pytest.importorskip("PIL.Image")
    for name, images in classes.items():
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(images):
            Image.fromarray(image).save(folder / name / f"{i:05}.png")
    return folder


# --- digits ---------------------------------------------------------------------------------


def test_digits_are_what_they_always_were() -> None:
    from sklearn.datasets import load_digits

    data, digits = load_digits(), image_sets.digits()
    held_out = np.zeros(1797, dtype=np.int64)
    held_out[::5] = 1
    assert digits.images.shape == (1797, 8, 8, 1) and digits.images.dtype == np.uint8
    np.testing.assert_array_equal(digits.images[..., 0], np.floor(data.images * 15.9375))
    np.testing.assert_array_equal(digits.labels, data.target)
    np.testing.assert_array_equal(digits.split, held_out)
    assert digits.name == "digits"


def test_a_sample_has_training_images_only() -> None:
    digits = image_sets.digits()
    assert digits.sample().n_classes == 10
    images = digits.images.copy()
    images[digits.split == 1] = 0
    blinded = replace(digits, images=images)
    np.testing.assert_array_equal(blinded.sample().points, digits.sample().points)


def test_the_fingerprint_is_of_everything_but_the_name() -> None:
    digits = image_sets.digits()
    assert replace(digits, name="mine").fingerprint == digits.fingerprint
    assert len(digits.fingerprint) == 16
    for part in ("images", "labels", "split"):
        changed = getattr(digits, part).copy()
        changed[7] += 1
        assert replace(digits, **{part: changed}).fingerprint != digits.fingerprint
    turned = digits.images.reshape(1797, 4, 16, 1)
    assert replace(digits, images=turned).fingerprint != digits.fingerprint


# --- folders --------------------------------------------------------------------------------


def test_a_folder_by_class(tmp_path: Path) -> None:
    cats, dogs = list(noise(11, 6, 8, 3)), list(noise(4, 6, 8, 3, seed=1))
    folder = by_class(tmp_path / "pets", {"dog": dogs, "cat": cats})
    (folder / "README.txt").write_text("mine")
    (folder / "cat" / "notes.txt").write_text("mine")
    (folder / ".cache").mkdir()
    data = image_sets.load(folder)
    assert data.name == "pets"
    np.testing.assert_array_equal(data.images, np.stack(cats + dogs))
    assert data.labels.tolist() == [0] * 11 + [1] * 4
    assert np.flatnonzero(data.split).tolist() == [0, 5, 10, 11]
    assert str(data) == ("pets: 11 training and 4 held-out images of 6 x 8 pixels in 2 classes")


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_a_folder_that_is_split(tmp_path: Path, held_out: str) -> None:
    parts = [noise(6, 5, 5), noise(2, 5, 5, seed=1)]
    by_class(tmp_path / "a" / "train", {"x": list(parts[0][:3]), "y": list(parts[0][3:])})
    by_class(tmp_path / "a" / held_out, {"y": list(parts[1])})
    data = image_sets.load(tmp_path / "a")
    np.testing.assert_array_equal(data.images[..., 0], np.concatenate(parts))
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert data.split.tolist() == [0] * 6 + [1] * 2


def test_validation_images_are_taken_rather_than_test_images(tmp_path: Path) -> None:
    for i, part in enumerate(("train", "val", "test")):
        images = list(np.full((2, 4, 4), 100 * i, dtype=np.uint8))
        by_class(tmp_path / part, {"x": images, "y": images})
    data = image_sets.load(tmp_path)
    assert set(data.images[data.split == 1].ravel()) == {100}


@pytest.mark.parametrize(
    "names",
    [
        *(("Training", "Testing"), ("train", "valid"), ("TRAIN", "TEST"), ("Train", "Validation")),
        *(("train", "dev", "test"), ("training", "val", "valid", "testing")),
    ],
)
def test_parts_are_known_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    for i, part in enumerate(names):
        images = list(np.full((2, 4, 4), 50 * i, dtype=np.uint8))
        by_class(tmp_path / part, {"x": images, "y": images, "z": images})
    data = image_sets.load(tmp_path)
    assert set(data.images[data.split == 0].ravel()) == {0}
    assert set(data.images[data.split == 1].ravel()) == {50}
    assert data.labels.max() == 2


def test_folders_with_the_same_folders_each_are_no_classes(tmp_path: Path) -> None:
    for part in ("fold1", "fold2"):
        by_class(tmp_path / part, {"cat": list(noise(5, 4, 4)), "dog": list(noise(5, 4, 4))})
    with pytest.raises(DatasetError, match=r"fold1, fold2 .*\(cat, dog\) each.* train and test"):
        image_sets.load(tmp_path)


def test_a_class_may_have_its_images_in_folders_of_its_own(tmp_path: Path) -> None:
    by_class(tmp_path / "cat", {"a": list(noise(3, 4, 4)), "b": list(noise(3, 4, 4, seed=1))})
    by_class(tmp_path / "dog", {"c": list(noise(5, 4, 4, seed=2))})
    assert image_sets.load(tmp_path).labels.tolist() == [0] * 6 + [1] * 5


@pytest.mark.parametrize("value", [0, 7, 255])
def test_images_that_are_all_alike_are_refused(tmp_path: Path, value: int) -> None:
    images = list(np.full((5, 4, 4), value, dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"All 10 images .* are alike"):
        image_sets.load(by_class(tmp_path / "a", {"x": images, "y": images}))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    images = list(noise(5, 4, 4))
    data = image_sets.load(by_class(tmp_path / "a", {"train": images, "plane": images}))
    assert data.split.sum() == 2 and data.labels.max() == 1


def test_a_relative_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = list(noise(5, 4, 4))
    monkeypatch.chdir(by_class(tmp_path / "pets.v2", {"cat": images, "dog": images}))
    assert image_sets.load(".").name == "pets.v2"


def test_unreadable_files_may_leave_a_class_untaught(tmp_path: Path) -> None:
    images = list(noise(5, 4, 4))
    folder = by_class(tmp_path / "a", {"x": images, "y": images, "z": images})
    (folder / "x" / "00003.png").write_text("no image")
    assert len(image_sets.load(folder).images) == 14
    for path in (folder / "y").iterdir():
        path.write_text("no image")
    with pytest.raises(DatasetError, match="no image to train on: y"):
        image_sets.load(folder)


def test_of_many_files_few_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(300, 4, 4)
    classes = {name: list(images[i::3]) for i, name in enumerate("abc")}
    folder = by_class(tmp_path / "a", classes)
    everything = image_sets.load(folder)
    monkeypatch.setattr(image_sets, "MAX_IMAGES", (60, 30))
    data = image_sets.load(folder)
    assert counts(data) == {(c, part): n for c in range(3) for part, n in ((0, 20), (1, 10))}
    pairs = zip(everything.images, everything.split, strict=True)
    known = {image.tobytes(): part for image, part in pairs}
    assert [known[image.tobytes()] for image in data.images] == data.split.tolist()
    assert image_sets.load(folder).fingerprint == data.fingerprint


def counts(data: ImageSet) -> dict[tuple[int, int], int]:
    pairs, n = np.unique(np.stack([data.labels, data.split]), axis=1, return_counts=True)
    return {(int(c), int(part)): int(k) for (c, part), k in zip(pairs.T, n, strict=True)}


# --- arrays ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10, 5, 6), (10, 5, 6, 1), (10, 5, 6, 3)])
def test_arrays_with_a_split(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images, labels = noise(*shape), np.arange(10) % 2
    split = np.arange(10) // 8
    path = saved(tmp_path / "mine.npz", images=images, labels=labels, split=split, source="me")
    data = image_sets.load(path)
    assert data.name == "mine"
    np.testing.assert_array_equal(data.images, images.reshape(10, 5, 6, -1))
    np.testing.assert_array_equal(data.labels, labels)
    np.testing.assert_array_equal(data.split, split)


@pytest.mark.parametrize("labels", [[10, 20, 30], ["a", "b", "c"], [b"a", b"b", b"c"], [-3, 0, 9]])
def test_labels_are_numbered(tmp_path: Path, labels: list[Any]) -> None:
    path = saved(tmp_path / "a.npz", images=noise(9, 4, 4), labels=np.repeat(labels, 3))
    data = image_sets.load(path)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.split.tolist() == [1, 0, 0] * 3


def test_every_fifth_of_each_class_is_held_out_in_any_order(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [20, 13, 5, 2]))
    split = image_sets.load(saved(tmp_path / "a.npz", images=noise(40, 4, 4), labels=labels)).split
    for c, n in enumerate([20, 13, 5, 2]):
        assert split[labels == c].tolist() == [int(i % 5 == 0) for i in range(n)]


def test_floats_are_parts_of_255(tmp_path: Path) -> None:
    images, labels = noise(10, 4, 4, 3), np.arange(10) % 2
    for dtype in (np.float32, np.float64):
        path = saved(tmp_path / "a.npz", images=(images / 255).astype(dtype), labels=labels)
        np.testing.assert_array_equal(image_sets.load(path).images, images)


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_shrink(tmp_path: Path, channels: int) -> None:
    images = np.zeros((4, 256, 128, channels), dtype=np.uint8)
    images[:, 128:, :, 0] = np.array([200, 180, 160, 140])[:, None, None]
    path = saved(tmp_path / "a.npz", images=images, labels=[0, 0, 1, 1])
    small = image_sets.load(path).images
    assert small.shape == (4, 64, 32, channels) and small.dtype == np.uint8
    np.testing.assert_array_equal(small[:, :31], images[:, :31, :32])
    np.testing.assert_array_equal(small[:, 33:], images[:, -31:, :32])


def test_many_arrays_are_bounded_and_every_class_stays(tmp_path: Path) -> None:
    labels = np.concatenate([np.repeat([0, 1], 20_000), np.repeat(np.arange(2, 12), 5)])
    images = np.resize(np.arange(256, dtype=np.uint8), (len(labels), 2, 2))
    data = image_sets.load(saved(tmp_path / "a.npz", images=images, labels=labels))
    found = counts(data)
    assert found[0, 0] == found[1, 0] == image_sets.MAX_IMAGES[0] // 12
    assert all(found[c, 0] == 4 and found[c, 1] == 1 for c in range(2, 12))


# --- bad input ------------------------------------------------------------------------------


IMAGES, LABELS = noise(10, 4, 4), np.arange(10) % 2
BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"labels": LABELS}, r"no 'images'; it has \['labels'\]"),
    "no labels": ({"images": IMAGES, "y": LABELS}, r"no 'labels'; it has \['images', 'y'\]"),
    "objects": ({"images": IMAGES, "labels": LABELS.astype(object)}, "allow_pickle.*Write it"),
    "16 bits": (
        {"images": IMAGES.astype(np.uint16), "labels": LABELS},
        "images .* are uint16; give uint8",
    ),
    "0..255 floats": (
        {"images": IMAGES.astype(float), "labels": LABELS},
        r"float64 from .* 0\.\.1",
    ),
    "NaN": ({"images": np.full((10, 4, 4), np.nan), "labels": LABELS}, "from nan"),
    "texts": ({"images": IMAGES.astype(str), "labels": LABELS}, "images .* are <U3"),
    "a table": ({"images": noise(10, 4), "labels": LABELS}, r"shape \(10, 4\)"),
    "channels first": ({"images": noise(10, 3, 4, 4), "labels": LABELS}, "come last"),
    "no pixels": ({"images": noise(10, 0, 4), "labels": LABELS}, r"\(10, 0, 4\)"),
    "nothing": ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"\(0, 4, 4\)"),
    "too few labels": ({"images": IMAGES, "labels": LABELS[:9]}, r"\(9,\) for 10 images"),
    "one-hot labels": ({"images": IMAGES, "labels": np.eye(10, dtype=int)}, "one integer"),
    "float labels": ({"images": IMAGES, "labels": LABELS / 2}, "float64"),
    "one class": ({"images": IMAGES, "labels": 0 * LABELS}, r"1 class\(es\): 0; at least two"),
    "a lone image": ({"images": IMAGES, "labels": ["a"] * 9 + ["b"]}, "train on: b. .* two if"),
    "no held-out": ({"images": IMAGES, "labels": LABELS, "split": 0 * LABELS}, "0 everywhere"),
    "no training": ({"images": IMAGES, "labels": LABELS, "split": 0 * LABELS + 1}, "train on: 0"),
    "three parts": ({"images": IMAGES, "labels": LABELS, "split": np.arange(10) % 3}, "0, 1, 2"),
    "a short split": ({"images": IMAGES, "labels": LABELS, "split": [0, 1]}, r"\(2,\).*10 images"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays(tmp_path: Path, case: str) -> None:
    arrays, text = BAD_ARRAYS[case]
    with pytest.raises(DatasetError, match=text) as caught:
        image_sets.load(saved(tmp_path / "bad.npz", **arrays))
    assert "bad.npz" in str(caught.value)


def _missing(folder: Path) -> Path:
    return folder / "nowhere"


def _other_file(folder: Path) -> Path:
    (folder / "data.csv").write_text("1,2")
    return folder / "data.csv"


def _damaged(folder: Path) -> Path:
    (folder / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    return folder / "a.npz"


def _one_array(folder: Path) -> Path:
    np.save(folder / "a.npy", IMAGES)
    return (folder / "a.npy").rename(folder / "a.npz")


def _no_classes(folder: Path) -> Path:
    return by_class(folder, {"a": list(IMAGES)}) / "a"


def _one_class(folder: Path) -> Path:
    return by_class(folder, {"a": list(IMAGES)})


def _unsplit(folder: Path) -> Path:
    by_class(folder / "train", {"a": list(IMAGES), "b": list(IMAGES)})
    return folder


def _empty_class(folder: Path) -> Path:
    return by_class(folder, {"a": list(IMAGES), "b": list(IMAGES), "c": []})


def _lone_image(folder: Path) -> Path:
    return by_class(folder, {"a": list(IMAGES), "b": list(IMAGES[:1])})


def _unknown_class(folder: Path) -> Path:
    by_class(folder / "train", {"a": list(IMAGES), "b": list(IMAGES)})
    by_class(folder / "test", {"c": list(IMAGES)})
    return folder


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_missing, "nowhere does not exist; give"),
        (_other_file, r"data\.csv is no image set; give"),
        (_damaged, "cannot be read"),
        (_one_array, "cannot be read"),
        (_no_classes, r"0 class\(es\).*sub-folder"),
        (_one_class, r"1 class\(es\): a; at least two.*sub-folder"),
        (_unsplit, r"1 class\(es\): train.*test/"),
        (_empty_class, "no image files: c. Fill or remove"),
        (_lone_image, "train on: b. .*two if"),
        (_unknown_class, "train on: c"),
    ],
)
def test_bad_paths(tmp_path: Path, make: Callable[[Path], Path], text: str) -> None:
    path = make(tmp_path)
    with pytest.raises(DatasetError, match=text) as caught:
        image_sets.load(path)
    assert str(path) in str(caught.value)


def test_arrays_do_not_run_what_they_hold(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    labels = np.array([Trap()] * 10, dtype=object)
    with pytest.raises(DatasetError):
        image_sets.load(saved(tmp_path / "a.npz", images=IMAGES, labels=labels))
    assert not (tmp_path / "sprung").exists()
