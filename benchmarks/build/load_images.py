"""Read the image sets that the benchmarks train on."""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path
import sys

import numpy as np


@dataclass(frozen=True)
class StoredImages:
    """One image set of the data folder.

    Attributes:
        images: As in :func:`~optuna_tnas.demo.cell_training.train_and_evaluate`, as are ``labels``
            and ``split``.
        source: Where the images come from.
        licence: Their license.
    """

    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    source: str
    licence: str


def load_images(name: str) -> StoredImages:
    """Read ``$OPTUNA_TNAS_DATA/images/<name>.npz``; exit with the remedy if it is missing."""
    folder = os.environ.get("OPTUNA_TNAS_DATA")
    if not folder:
        sys.exit(
            "Set OPTUNA_TNAS_DATA to the folder whose images/<name>.npz hold the image sets: "
            "export OPTUNA_TNAS_DATA=/path/to/data"
        )
    path = Path(folder, "images", f"{name}.npz")
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.npz"))) or "none"
        sys.exit(f"There is no image set {path}; this folder has: {known}.")
    with np.load(path) as d:
        arrays = (d["images"], d["labels"], d["split"])
        return StoredImages(*arrays, source=str(d["source"]), licence=str(d["licence"]))
