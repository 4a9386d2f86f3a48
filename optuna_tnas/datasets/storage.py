"""Data set samples as bytes, and as artifacts of Optuna's studies."""

from __future__ import annotations

import io
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from optuna_tnas.errors import DatasetError


if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore
    from optuna.study import Study


_ARTIFACT_NAME = "optuna-tnas-dataset-sample.npz"
# The study's user attribute with the artifact's id: storages list artifacts in any order.
_ARTIFACT_ID = "tnas:dataset_sample"


def pack(points: np.ndarray, labels: np.ndarray) -> bytes:
    """Compress ``n x F`` points and ``n`` labels, in half precision where that will do."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, points=_halved(points), labels=labels)
    return buffer.getvalue()


def unpack(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the points and labels of :func:`pack` back.

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
    return points, labels


def _halved(points: np.ndarray) -> np.ndarray:
    """Halve the precision, unless that overflows or blurs the differences between points."""
    with np.errstate(over="ignore"):
        half = points.astype(np.float16)
    error = np.abs(half.astype(np.float32) - points).max(axis=0)
    varies = np.ptp(points, axis=0) > 0
    fits = (error <= 0.1 * points.std(axis=0)) | (~varies & np.isfinite(error))
    return half if fits.all() else points


def upload(content: bytes, study: Study, artifact_store: ArtifactStore) -> None:
    """Keep a sample's bytes with a study, as an Optuna artifact."""
    from optuna.artifacts import upload_artifact

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _ARTIFACT_NAME
        path.write_bytes(content)
        artifact_id = upload_artifact(
            study_or_trial=study,
            file_path=str(path),
            artifact_store=artifact_store,
            mimetype="application/octet-stream",
        )
    study.set_user_attr(_ARTIFACT_ID, artifact_id)


def download(study: Study, artifact_store: ArtifactStore) -> bytes | None:
    """Fetch the bytes of the sample that was uploaded last; None if there is none.

    Raises:
        DatasetError: If the artifact store does not hold them.
    """
    from optuna.artifacts import get_all_artifact_meta
    from optuna.artifacts.exceptions import ArtifactNotFound

    found = [m.artifact_id for m in get_all_artifact_meta(study) if m.filename == _ARTIFACT_NAME]
    if not found:
        return None
    artifact_id = study.user_attrs.get(_ARTIFACT_ID)
    if artifact_id not in found:  # not written by :func:`upload`, or by an older version
        artifact_id = found[-1]
    try:
        with artifact_store.open_reader(artifact_id) as reader:
            return reader.read()
    except ArtifactNotFound as error:
        raise DatasetError(
            f"The artifact store does not hold the data set sample {artifact_id} "
            f"of study {study.study_name!r}; pass the store it was attached with."
        ) from error
