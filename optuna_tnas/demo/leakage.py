"""Which past tasks a search must not learn from: those on the images that it searches on."""

from __future__ import annotations

import numpy as np

from optuna_tnas.datasets.featurizers import image_points
from optuna_tnas.studies.history import MetaDataset


# Different image sets share none. A past sample holds few images of a large set and the user's
# part of it holds others, so that a small share says enough.
_SHARE = 0.01


def overlapping(history: MetaDataset, name: str, images: np.ndarray) -> dict[str, str]:
    """The past tasks on the same data, and how they show it.

    The same images at another size are not recognized.

    Args:
        history: The past.
        name: The image set that is to be searched on.
        images: All its images, ``n x H x W x C`` uint8.

    Returns:
        The reasons by the tasks' names.
    """
    points = image_points(images)
    reasons = {}
    for task in history.tasks:
        share = task.dataset.share_among(points) if task.dataset is not None else 0.0
        if share >= _SHARE:
            reasons[task.name] = f"{share:.0%} of its sample's images are among these"
        elif task.name == name:
            reasons[task.name] = "it has the same name"
    return reasons
