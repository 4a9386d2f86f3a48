"""Image sets as the recipe trains on them: scikit-learn's digits, or a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.demo import image_files
from optuna_tnas.errors import DatasetError


# Shared out among the classes, and so many of each class at least. The recipe trains on 2,500.
MAX_IMAGES = (4000, 1500)  # for training, held out
_MIN_PER_CLASS = (4, 1)

_LAYOUT = (
    "Each class needs a sub-folder with its images, in the folder itself or in its train/ and "
    "its test/ (or val/)."
)
# Names of the parts in lower case; the first held-out one is taken.
_TRAINING = ("train", "training")
_HELD_OUT = ("val", "valid", "validation", "dev", "test", "testing")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """An image set as :func:`~optuna_tnas.demo.cell_training.train_and_evaluate` takes it.

    Attributes:
        name: What studies on it are called.
        images: ``N x H x W x C`` uint8 with one or three channels.
        labels: ``N`` int64, 0 .. classes - 1.
        split: ``N`` int64, 0 for training and 1 for held-out images.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray

    @property
    def fingerprint(self) -> str:
        """The same for the same images, labels and split, whatever the name."""
        parts = (self.images, self.labels, self.split)
        content = sha256(repr([part.shape for part in parts]).encode())
        for part in parts:
            content.update(part.tobytes())
        return content.hexdigest()[:16]

    def sample(self) -> DatasetSample:
        """What the surrogate sees of the data set: training images only."""
        train = self.split == 0
        return DatasetSample.from_arrays(self.images[train], self.labels[train])

    def __str__(self) -> str:
        held_out = int(self.split.sum())
        height, width = self.images.shape[1:3]
        return (
            f"{self.name}: {len(self.split) - held_out} training and {held_out} held-out images "
            f"of {height} x {width} pixels in {self.labels.max() + 1} classes"
        )


def digits() -> ImageSet:
    """scikit-learn's digits: 1,797 images of 8 x 8 pixels; every fifth one is held out."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images * (255 / 16)).astype(np.uint8)[..., None]
    split = (np.arange(len(images)) % 5 == 0).astype(np.int64)
    return ImageSet("digits", images, data.target.astype(np.int64), split)


def load(path: str | Path) -> ImageSet:
    """Read an image set of a user's own; it is named after the file or folder.

    A folder holds a sub-folder of image files for each class, or ``train`` and ``test`` (or
    ``val``, which is taken if there are both) with such sub-folders; ``Training``, ``valid`` and
    the like do too. An ``.npz`` holds ``images``,
    ``N x H x W`` or ``N x H x W x C`` of uint8 or of floats in 0..1, ``labels``, integers or
    strings, and maybe ``split``, 0 for training and 1 for held-out images. Without a split every
    fifth image of each class is held out.

    Of more than about 4,000 training and 1,500 held-out images a fixed random part of each class
    is read. Images become one size of at most 64 pixels a side.

    Raises:
        DatasetError: If there is no image set at ``path``, or it cannot be trained on.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if path.is_file() and path.suffix == ".npz":
        return _from_npz(path)
    problem = "is no image set" if path.exists() else "does not exist"
    raise DatasetError(f"{path} {problem}; give a folder of images by class or an .npz file.")


# --- folders --------------------------------------------------------------------------------


def _from_folder(folder: Path) -> ImageSet:
    parts = [_files(part) for part in _parts(folder)]
    classes = sorted(set().union(*parts))
    _check_classes(classes, folder)
    paths, found = [], []
    for part, files in enumerate(parts):
        for label, name in enumerate(classes):
            paths += files.get(name, [])
            found += [(label, part)] * len(files.get(name, []))
    labels, split = np.array(found, dtype=np.int64).T
    if len(parts) == 1:
        split = _every_fifth(labels)
    kept = _some_of_each(labels, split)
    images, readable = image_files.read([paths[i] for i in kept])
    kept = kept[readable]
    return _checked(folder, images, labels[kept], split[kept], classes)


def _parts(folder: Path) -> list[Path]:
    """The training folder and the held-out one, or the one folder that is both."""
    inside = {p.name.lower(): p for p in sorted(folder.iterdir()) if p.is_dir()}
    training = [inside[name] for name in _TRAINING if name in inside]
    held_out = [inside[name] for name in _HELD_OUT if name in inside]
    return [training[0], held_out[0]] if training and held_out else [folder]


def _files(folder: Path) -> Mapping[str, list[Path]]:
    """The image files of each class, in order."""
    classes = _folders(folder)
    _check_no_parts(folder, classes)
    files = {c.name: sorted(filter(image_files.is_image, c.rglob("*"))) for c in classes}
    empty = [name for name, found in files.items() if not found]
    if empty:
        raise DatasetError(
            f"These classes of {folder} hold no image files: {_some(empty)}. Fill or remove them."
        )
    return files


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _check_no_parts(folder: Path, classes: Sequence[Path]) -> None:
    """Refuse folders that hold the same folders each, as the parts of a split do."""
    inside = [tuple(p.name for p in _folders(c)) for c in classes]
    if len(inside) > 1 and len(set(inside)) == 1 and len(inside[0]) > 1:
        raise DatasetError(
            f"The folders {_some([c.name for c in classes])} of {folder} hold the same folders "
            f"({_some(inside[0])}) each, so they seem to be parts of the set and no classes. Call "
            "them train and test, or put each class's images into one folder."
        )


# --- arrays ---------------------------------------------------------------------------------


def _from_npz(path: Path) -> ImageSet:
    arrays = _read_npz(path)
    images = arrays["images"]
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.size == 0:
        raise DatasetError(
            f"The images of {path} have the shape {arrays['images'].shape}; give N x H x W or "
            "N x H x W x C with one or three channels, which come last."
        )
    classes, labels = _classes(arrays["labels"], len(images), path)
    split = _split(arrays["split"], len(images), path) if "split" in arrays else None
    split = _every_fifth(labels) if split is None else split
    kept = _some_of_each(labels, split)
    images = _shrunk(_as_bytes(images[kept], path))
    return _checked(path, images, labels[kept], split[kept], classes)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            arrays = {name: file[name] for name in ("images", "labels", "split") if name in names}
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise DatasetError(
            f"{path} cannot be read ({error}). Write it with numpy.savez_compressed(path, "
            "images=..., labels=...), from arrays of numbers or strings."
        ) from error
    missing = {"images", "labels"} - set(names)
    if missing:
        raise DatasetError(f"{path} has no {sorted(missing)[0]!r}; it has {sorted(names)}.")
    return arrays


def _classes(labels: np.ndarray, n: int, path: Path) -> tuple[list[str], np.ndarray]:
    """The classes' names, and ``n`` int64 positions among them."""
    if labels.shape != (n,) or labels.dtype.kind not in "iubUS":
        raise DatasetError(
            f"The labels of {path} are {labels.dtype} of shape {labels.shape} for {n} images; "
            "give one integer or string an image."
        )
    values, codes = np.unique(labels, return_inverse=True)
    classes = [str(value) for value in values]
    _check_classes(classes, path)
    return classes, codes.astype(np.int64)


def _split(split: np.ndarray, n: int, path: Path) -> np.ndarray:
    values = np.unique(split)
    if split.shape != (n,) or not np.isin(values, (0, 1)).all():
        raise DatasetError(
            f"The split of {path} has the shape {split.shape} and the values {_some(values)} for "
            f"{n} images; give one an image, 0 for training and 1 for held-out images."
        )
    return split.astype(np.int64)


def _as_bytes(images: np.ndarray, path: Path) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    is_float = images.dtype.kind == "f"
    if not is_float or not (images.min() >= 0 and images.max() <= 1):
        values = f" from {images.min()} to {images.max()}" if is_float else ""
        raise DatasetError(
            f"The images of {path} are {images.dtype}{values}; give uint8 in 0..255, or floats "
            "in 0..1."
        )
    return np.asarray((255 * images).round().astype(np.uint8))


def _shrunk(images: np.ndarray) -> np.ndarray:
    """Images of at most 64 pixels a side."""
    size = image_files.at_most(*images.shape[1:3])
    if size == images.shape[1:3]:
        return images
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    x = interpolate(x, size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())


# --- both -----------------------------------------------------------------------------------


def _every_fifth(labels: np.ndarray) -> np.ndarray:
    return np.asarray(_rank(labels) % 5 == 0).astype(np.int64)


def _some_of_each(labels: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Positions of so many images of each class and part that all of them are few enough."""
    n_classes = int(labels.max()) + 1
    limits = np.maximum(np.array(MAX_IMAGES) // n_classes, _MIN_PER_CLASS)
    order = np.random.default_rng(0).permutation(len(labels))
    few = _rank((2 * labels + split)[order]) < limits[split[order]]
    return np.asarray(np.sort(order[few]))


def _rank(groups: np.ndarray) -> np.ndarray:
    """How many earlier members each one's group has."""
    order = np.argsort(groups, kind="stable")
    in_order = groups[order]
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.arange(len(groups)) - np.searchsorted(in_order, in_order)
    return rank


def _check_classes(classes: Sequence[str], path: Path) -> None:
    if len(classes) < 2:
        layout = f" {_LAYOUT}" if path.is_dir() else ""
        raise DatasetError(
            f"{path} has {len(classes)} class(es): {_some(classes)}; at least two are needed."
            + layout
        )


def _checked(
    path: Path, images: np.ndarray, labels: np.ndarray, split: np.ndarray, classes: Sequence[str]
) -> ImageSet:
    untaught = np.setdiff1d(np.arange(len(classes)), labels[split == 0])
    if len(untaught):
        raise DatasetError(
            f"These classes of {path} have no image to train on: "
            f"{_some([classes[c] for c in untaught])}. Give each at least one, and two if the "
            "data set says nothing about which ones are held out."
        )
    if not split.any():
        raise DatasetError(
            f"No image of {path} is held out: its split is 0 everywhere, or its test images "
            "cannot be read. Give some, or leave the split out."
        )
    if (images == images[0]).all():
        raise DatasetError(
            f"All {len(images)} images of {path} are alike once they are read as 8 bits a color; "
            "give images whose values fill their format's range."
        )
    name = path.stem if path.is_file() else path.resolve().name
    return ImageSet(name, images, labels, split)


def _some(values: Sequence[object] | np.ndarray) -> str:
    """The first few, for a message."""
    return ", ".join(str(value) for value in values[:5]) + (", ..." if len(values) > 5 else "")
