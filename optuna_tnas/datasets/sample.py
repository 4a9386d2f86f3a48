"""A sample of a data set: points grouped by class, which the data set encoder reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import TYPE_CHECKING

import numpy as np

from optuna_tnas.datasets import storage
from optuna_tnas.datasets.featurizers import image_features
from optuna_tnas.datasets.featurizers import N_FEATURES
from optuna_tnas.datasets.featurizers import N_SIZES
from optuna_tnas.datasets.featurizers import network_features
from optuna_tnas.datasets.featurizers import table_features
from optuna_tnas.errors import DatasetError


if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore
    from optuna.study import Study
    from torch import nn


# Two descriptions of one image: of pixels that differ by one, one of them in half precision. The
# orientations are not compared: a gradient between two bins falls into either, by the CPU.
_COMPARED = np.r_[:48, 176 : N_FEATURES - N_SIZES]
_SAME_IMAGE = 0.01  # largest difference of a feature

_MIN_PER_CLASS = 20
_MAX_PER_CLASS = 40
_MAX_POINTS = 2048


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
        """Number of classes."""
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
        featurize = table_features if data.ndim == 2 else image_features
        sample = cls._build(data, labels, featurize)
        sizes = np.log2([len(data), sample.n_classes]).astype(np.float32)
        columns = np.broadcast_to(sizes, (len(sample.points), N_SIZES))
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
                ``n x F``. It is used as in evaluation; each of its modules
                keeps the mode that it was in.
            side: Height and width in pixels that images are resized to.

        Raises:
            DatasetError: As :meth:`from_arrays`, or if the network's output is not ``n x F``.
        """
        data = _array("images", images)
        return cls._build(data, labels, lambda kept: network_features(kept, network, side))

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
        """Draw up to ``per_class`` points of each of up to ``n_classes`` random classes.

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
        """Compute the share, 0 to 1, of this sample's images that are among others.

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
        storage.upload(self.to_bytes(), study, artifact_store)

    @classmethod
    def attached_to(cls, study: Study, artifact_store: ArtifactStore) -> DatasetSample | None:
        """Fetch the sample that was last attached to the study; None if there is none.

        Raises:
            DatasetError: If it is damaged, or the artifact store does not hold it.
        """
        content = storage.download(study, artifact_store)
        return None if content is None else cls.from_bytes(content)

    def to_bytes(self) -> bytes:
        """Convert to a compressed ``.npz``, in half precision where that will do."""
        return storage.pack(self.points, self.labels)

    @classmethod
    def from_bytes(cls, content: bytes) -> DatasetSample:
        """Read :meth:`to_bytes` back.

        Raises:
            DatasetError: If the content is not a sample.
        """
        return cls(*storage.unpack(content))


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
    """Return the distinct labels, and each point's position among them."""
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
    """Select at most 20 to 40 points of each class, the same ones every time: positions."""
    per_class = int(np.clip(_MAX_POINTS // n_classes, _MIN_PER_CLASS, _MAX_PER_CLASS))
    order = np.random.RandomState(0).permutation(len(codes))
    by_class = order[np.argsort(codes[order], kind="stable")]
    first = np.searchsorted(codes[by_class], np.arange(n_classes))
    rank_in_class = np.arange(len(codes)) - first[codes[by_class]]
    return np.asarray(by_class[rank_in_class < per_class])
