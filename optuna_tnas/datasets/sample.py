"""A sample of a data set, as points grouped by class: what phi reads."""

from __future__ import annotations

from collections.abc import Callable
import io
from pathlib import Path
import tempfile
from typing import Any
from typing import TYPE_CHECKING

import numpy as np

from optuna_tnas.errors import DatasetError


if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore
    from optuna.study import Study
    from torch import nn


N_FEATURES = 186  # width of the default featurizer's points
_N_SIZES = 2  # of them, the same for all points of a data set
_CELLS = 4  # the image is described on a 4 x 4 grid
_ORIENTATIONS = 8
_SIDE = 32
_CHUNK = 500  # images described at a time
_BATCH = 50  # images that a network sees at a time
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Two descriptions of one image: of pixels that differ by one, one of them in half precision. The
# orientations are not compared: a gradient between two bins falls into either, by the CPU.
_COMPARED = np.r_[:48, 176 : N_FEATURES - _N_SIZES]
_SAME_IMAGE = 0.01

_MIN_PER_CLASS = 20
_MAX_PER_CLASS = 40
_MAX_POINTS = 2048

_ARTIFACT_NAME = "optuna-tnas-dataset-sample.npz"
# The study's user attribute with the artifact's id: storages list artifacts in any order.
_ARTIFACT_ID = "tnas:dataset_sample"


class DatasetSample:
    """Feature vectors of some points of a data set, with their classes.

    Attributes:
        points: ``n x F`` float32.
        labels: ``n`` int64, 0 .. C - 1.
    """

    def __init__(self, points: np.ndarray, labels: np.ndarray) -> None:
        self.points = points
        self.labels = labels

    @property
    def n_features(self) -> int:
        """Width F of a point."""
        return int(self.points.shape[1])

    @property
    def n_classes(self) -> int:
        """How many classes the points fall into."""
        return int(self.labels.max()) + 1

    def __repr__(self) -> str:
        return (
            f"DatasetSample({len(self.points)} points, {self.n_classes} classes, "
            f"{self.n_features} features)"
        )

    @classmethod
    def from_arrays(cls, data: Any, labels: Any) -> DatasetSample:
        """Describe images or a table with the default featurizer, which needs no download.

        Images become 186 numbers: colors on a 4 x 4 grid (48), gradient orientations in 8 bins
        on the same grid (128), the channels' contrast (3), energy in four bands of the spectrum
        (4), the logarithms of the side in pixels (1) and of how many points and classes the
        data set has (2): so give all that is trained on. The columns of a table are
        standardized and projected on as many fixed random directions, before the last two.

        Args:
            data: Images ``n x H x W`` or ``n x H x W x C`` with 1 or 3 channels (uint8, or
                float in 0..1), or a table ``n x features``.
            labels: ``n`` class labels of any type.

        Raises:
            DatasetError: If there are fewer than two classes, or data and labels do not fit.
        """
        data = _array("data", data)
        featurize = _table_features if data.ndim == 2 else _image_features
        sample = cls._build(data, labels, featurize)
        sizes = np.log2([len(data), sample.n_classes]).astype(np.float32)
        columns = np.broadcast_to(sizes, (len(sample.points), _N_SIZES))
        return cls(np.concatenate([sample.points, columns], axis=1), sample.labels)

    @classmethod
    def from_features(cls, features: Any, labels: Any) -> DatasetSample:
        """Use your own embeddings (of text, graphs, tables, images).

        Args:
            features: ``n x F``; all data sets of a history and of its searches need the same F.
            labels: ``n`` class labels of any type.

        Raises:
            DatasetError: As :meth:`from_arrays`.
        """
        features = _array("features", features)
        if features.ndim != 2:
            raise DatasetError(f"Features must be n x F, not of shape {features.shape}.")
        return cls._build(features, labels, lambda points: points)

    @classmethod
    def from_network(
        cls, images: Any, labels: Any, network: nn.Module, *, side: int = 224
    ) -> DatasetSample:
        """Describe images by a pretrained network's embeddings, such as the paper's ResNet-18.

        That is torchvision's without its last layer::

            network = torchvision.models.resnet18(weights="DEFAULT")
            network.fc = torch.nn.Identity()

        Args:
            images: As for :meth:`from_arrays`.
            labels: ``n`` class labels of any type.
            network: Maps ``n x 3 x side x side`` images, normalized as ImageNet's are, to
                ``n x F``. It is used as in evaluation, and left in the mode it was in.
            side: Height and width in pixels that images are resized to.

        Raises:
            DatasetError: As :meth:`from_arrays`, or if the network's output is not ``n x F``.
        """
        data = _array("images", images)
        return cls._build(data, labels, lambda kept: _embeddings(kept, network, side))

    @classmethod
    def _build(
        cls, data: np.ndarray, labels: Any, featurize: Callable[[np.ndarray], np.ndarray]
    ) -> DatasetSample:
        labels = np.asarray(labels)
        if labels.shape != data.shape[:1]:
            raise DatasetError(
                f"{len(data)} points, but labels of shape {labels.shape}; give one label a point."
            )
        classes, codes = _classes(labels)
        if len(classes) < 2:
            raise DatasetError(
                f"The data set has {len(classes)} class(es) in {len(data)} point(s); at least two "
                "classes are needed (bin a regression target into classes)."
            )
        kept = _some_of_each(codes, len(classes))
        points = np.asarray(featurize(data[kept]), dtype=np.float32)
        if not np.isfinite(points).all():
            raise DatasetError("The data set has NaN or infinite values; drop or impute them.")
        return cls(points, codes[kept].astype(np.int64))

    def draw(
        self, n_classes: int, per_class: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Up to ``per_class`` random points of each of up to ``n_classes`` random classes.

        Returns:
            ``C x N x F`` float32 points and ``C x N`` bool, False where a class has fewer.
        """
        drawn_classes = np.sort(rng.permutation(self.n_classes)[:n_classes])
        groups = [np.flatnonzero(self.labels == c) for c in drawn_classes]
        width = min(per_class, max(len(group) for group in groups))
        points = np.zeros((len(groups), width, self.n_features), dtype=np.float32)
        present = np.zeros((len(groups), width), dtype=bool)
        for c, group in enumerate(groups):
            drawn = rng.permutation(group)[:width]
            points[c, : len(drawn)] = self.points[drawn]
            present[c, : len(drawn)] = True
        return points, present

    def share_among(self, points: np.ndarray) -> float:
        """The share, 0 to 1, of this sample's images that are among others.

        Args:
            points: ``n x 184`` float32, the others as :func:`image_points` describes them.
        """
        from scipy.spatial import KDTree

        if self.n_features != N_FEATURES:
            return 0.0
        distances, _ = KDTree(points[:, _COMPARED]).query(
            self.points[:, _COMPARED], p=np.inf, distance_upper_bound=_SAME_IMAGE
        )
        return float(np.isfinite(distances).mean())

    def attach(self, study: Study, artifact_store: ArtifactStore) -> None:
        """Keep the sample with a study, as an Optuna artifact, for later meta-training.

        Args:
            study: The study that searches on this data set.
            artifact_store: Where its artifacts are, such as ``FileSystemArtifactStore``.
        """
        from optuna.artifacts import upload_artifact

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _ARTIFACT_NAME
            path.write_bytes(self.to_bytes())
            artifact_id = upload_artifact(
                study_or_trial=study,
                file_path=str(path),
                artifact_store=artifact_store,
                mimetype="application/octet-stream",
            )
        study.set_user_attr(_ARTIFACT_ID, artifact_id)

    @classmethod
    def attached_to(cls, study: Study, artifact_store: ArtifactStore) -> DatasetSample | None:
        """The sample that was last attached to the study, None if there is none.

        Raises:
            DatasetError: If it is damaged, or the artifact store does not hold it.
        """
        from optuna.artifacts import get_all_artifact_meta
        from optuna.artifacts.exceptions import ArtifactNotFound

        found = [
            m.artifact_id for m in get_all_artifact_meta(study) if m.filename == _ARTIFACT_NAME
        ]
        if not found:
            return None
        artifact_id = study.user_attrs.get(_ARTIFACT_ID, found[-1])
        try:
            with artifact_store.open_reader(artifact_id) as reader:
                return cls.from_bytes(reader.read())
        except ArtifactNotFound as error:
            raise DatasetError(
                f"The artifact store does not hold the data set sample {artifact_id} "
                f"of study {study.study_name!r}; pass the store it was attached with."
            ) from error

    def to_bytes(self) -> bytes:
        """The sample as a compressed ``.npz``, its points in half precision where that will do."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, points=_halved(self.points), labels=self.labels)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> DatasetSample:
        """Read :meth:`to_bytes` back.

        Raises:
            DatasetError: If the content is not a sample.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                points = file["points"].astype(np.float32)
                labels = file["labels"].astype(np.int64)
        except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
            raise DatasetError(f"Not a data set sample: {error!r}.") from error
        if points.ndim != 2 or labels.shape != points.shape[:1] or not len(labels):
            raise DatasetError(f"Not a data set sample: shapes {points.shape}, {labels.shape}.")
        classes = np.unique(labels)
        if not np.array_equal(classes, np.arange(len(classes))) or not np.isfinite(points).all():
            raise DatasetError("Not a data set sample: classes left out, or values not finite.")
        return cls(points, labels)


def image_points(images: np.ndarray) -> np.ndarray:
    """The points of all images as :meth:`DatasetSample.from_arrays` describes them.

    Args:
        images: ``n x H x W`` or ``n x H x W x C``.

    Returns:
        ``n x 184`` float32.
    """
    chunks = [images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK)]
    return np.concatenate([_image_features(chunk) for chunk in chunks]).astype(np.float32)


def _halved(points: np.ndarray) -> np.ndarray:
    """``points`` in half precision, unless that overflows or blurs what tells points apart."""
    with np.errstate(over="ignore"):
        half = points.astype(np.float16)
    error = np.abs(half.astype(np.float32) - points).max(axis=0)
    varies = np.ptp(points, axis=0) > 0
    fits = (error <= 0.1 * points.std(axis=0)) | (~varies & np.isfinite(error))
    return half if fits.all() else points


def _array(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DatasetError(f"The {name} have mixed shapes: {error}.") from error
    if array.dtype == object or not np.issubdtype(array.dtype, np.number):
        raise DatasetError(
            f"The {name} must be one numeric array with points of one shape, not {array.dtype}."
        )
    if len(array.shape) < 2 or array.size == 0:
        raise DatasetError(f"The {name} hold no points: shape {array.shape}.")
    return array


def _classes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct labels, and each point's position among them."""
    if np.issubdtype(labels.dtype, np.floating) and np.isnan(labels).any():
        raise DatasetError("The labels have NaN values; drop the points without a label.")
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise DatasetError(
            f"The labels are missing or of mixed types ({error}); drop the points without a "
            "label, and give all others as numbers or all as text."
        ) from error


def _some_of_each(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Positions of at most 20 to 40 points of each class, the same ones every time."""
    per_class = int(np.clip(_MAX_POINTS // n_classes, _MIN_PER_CLASS, _MAX_PER_CLASS))
    order = np.random.RandomState(0).permutation(len(codes))
    by_class = order[np.argsort(codes[order], kind="stable")]
    first = np.searchsorted(codes[by_class], np.arange(n_classes))
    rank_in_class = np.arange(len(codes)) - first[codes[by_class]]
    return np.asarray(by_class[rank_in_class < per_class])


def _table_features(table: np.ndarray) -> np.ndarray:
    """``n x features`` -> ``n x 184``: standardized columns on fixed random directions."""
    table = table.astype(np.float64)
    spread = table.std(axis=0)
    standardized = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1)
    width = N_FEATURES - _N_SIZES
    directions = np.random.RandomState(0).standard_normal((table.shape[1], width))
    return np.asarray(standardized @ directions / np.sqrt(table.shape[1]))


def _image_features(images: np.ndarray) -> np.ndarray:
    """``n x H x W [x C]`` -> ``n x 184``."""
    side = np.log2(max(images.shape[1:3]) / _SIDE)
    rgb = _resize(_rgb(images))  # n x 3 x 32 x 32
    luminance = rgb.mean(axis=1)
    grid = rgb.reshape(len(rgb), 3, _CELLS, _SIDE // _CELLS, _CELLS, _SIDE // _CELLS)
    parts = [
        grid.mean(axis=(3, 5)).reshape(len(rgb), -1),
        _orientations(luminance),
        rgb.std(axis=(2, 3)),
        _spectrum(luminance),
        np.full((len(rgb), 1), side),
    ]
    return np.concatenate(parts, axis=1)


def _embeddings(images: np.ndarray, network: nn.Module, side: int) -> np.ndarray:
    """``n x H x W [x C]`` -> ``n x F``."""
    training = network.training
    network.eval()
    try:
        chunks = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
        embedded = [_embedded(network, _resize(_rgb(chunk), side)) for chunk in chunks]
    finally:
        network.train(training)
    if embedded[0].ndim != 2:
        raise DatasetError(
            f"The network maps a batch of images to the shape {embedded[0].shape}; it must be "
            "n x F. Replace its last layers by torch.nn.Identity() or torch.nn.Flatten()."
        )
    return np.concatenate(embedded)


def _embedded(network: nn.Module, rgb: np.ndarray) -> np.ndarray:
    """One batch, ``n x 3 x side x side`` in 0..1, where the network is."""
    import torch

    mean, std = (np.array(v, np.float32)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_STD))
    like = next(network.parameters(), torch.empty(0))
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy((rgb - mean) / std).to(like)).cpu().numpy())


def _rgb(images: np.ndarray) -> np.ndarray:
    """Float images ``n x 3 x H x W`` in 0..1."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DatasetError(
            f"Images must be n x H x W or n x H x W x C with 1 or 3 channels, not of shape "
            f"{images.shape}; for other data use DatasetSample.from_features."
        )
    scale = 255.0 if np.issubdtype(images.dtype, np.integer) else 1.0
    rgb = np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32) / scale
    if rgb.min() < 0 or rgb.max() > 1:
        raise DatasetError(
            f"Images must be uint8 or float in 0..1; these are {images.dtype} from "
            f"{images.min()} to {images.max()}. Scale them, before any normalization."
        )
    return rgb.transpose(0, 3, 1, 2)


def _resize(rgb: np.ndarray, side: int = _SIDE) -> np.ndarray:
    import torch
    from torch.nn.functional import interpolate

    resized = interpolate(
        torch.from_numpy(np.ascontiguousarray(rgb)),
        size=(side, side),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    return np.asarray(resized.numpy())


def _orientations(luminance: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients (Dalal and Triggs, 2005): ``n x 4*4*8``."""
    dy, dx = np.gradient(luminance, axis=(1, 2))
    strength = np.hypot(dx, dy)
    bins = np.floor((np.arctan2(dy, dx) % np.pi) / np.pi * _ORIENTATIONS).astype(int)
    bins = np.minimum(bins, _ORIENTATIONS - 1)
    votes = strength[..., None] * (bins[..., None] == np.arange(_ORIENTATIONS))
    size = _SIDE // _CELLS
    cells = votes.reshape(len(luminance), _CELLS, size, _CELLS, size, _ORIENTATIONS)
    return np.asarray(cells.mean(axis=(2, 4)).reshape(len(luminance), -1))


def _spectrum(luminance: np.ndarray) -> np.ndarray:
    """Log energy in four octaves of spatial frequency: ``n x 4``."""
    power = np.abs(np.fft.fft2(luminance)) ** 2 / luminance[0].size
    frequency = np.fft.fftfreq(_SIDE) * _SIDE
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    edges = [(1, 2), (2, 4), (4, 8), (8, 17)]
    bands = [power[:, (radius >= lo) & (radius < hi)].mean(axis=1) for lo, hi in edges]
    return np.log10(np.stack(bands, axis=1) + 1e-6)
