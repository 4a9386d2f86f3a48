"""Image files of any size and mode as one array; Pillow reads them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from optuna_tnas.errors import DatasetError


MAX_SIDE = 64  # pixels; the recipe trains at 16 x 16

_logger = logging.getLogger(__name__)


def is_image(path: Path) -> bool:
    """Whether Pillow has a reader for files of this suffix; hidden files are none.

    Raises:
        DatasetError: If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetError(
            "Image files are read with Pillow, which is not installed: "
            "pip install 'optuna-tnas[images]'"
        ) from error
    reader = Image.registered_extensions().get(path.suffix.lower())
    return reader in Image.OPEN and not path.name.startswith(".")


def read(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Read images and resize them to their median size, but at most 64 pixels a side.

    Files that cannot be read are left out with one warning.

    Returns:
        ``m x H x W x C`` uint8 with three channels, or one if all images are gray, and ``n`` bool:
        which of the files could be read.

    Raises:
        DatasetError: If none can.
    """
    size = _common_size(paths)
    images = []
    readable = np.zeros(len(paths), dtype=bool)
    for i, path in enumerate(tqdm(paths, desc="reading images", leave=False)):
        with suppress(Exception):  # Pillow raises many kinds for a damaged file
            images.append(_decoded(path, size))
            readable[i] = True
    _report([path for path, good in zip(paths, readable, strict=True) if not good], len(paths))
    stacked = np.stack(images)
    is_gray = (stacked == stacked[..., :1]).all()
    return stacked[..., :1] if is_gray else stacked, readable


def at_most(height: float, width: float) -> tuple[int, int]:
    """The size in whole pixels, shrunk in proportion until both sides are at most 64."""
    scale = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _report(unreadable: Sequence[Path], n: int) -> None:
    if not unreadable:
        return
    some = ", ".join(map(str, unreadable[:3])) + (", ..." if len(unreadable) > 3 else "")
    if len(unreadable) == n:
        raise DatasetError(f"None of the {n} image files can be read: {some}. Are they damaged?")
    _logger.warning(
        "%d of %d image files cannot be read and are left out: %s", len(unreadable), n, some
    )


def _common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """Height and width; only the files' headers are read."""
    from PIL import Image

    sizes = []
    for path in paths:
        with suppress(Exception), Image.open(path) as image:
            sizes.append((image.height, image.width))
    height, width = np.median(sizes or [(MAX_SIDE, MAX_SIDE)], axis=0)
    return at_most(float(height), float(width))


def _decoded(path: Path, size: tuple[int, int]) -> np.ndarray:
    """``H x W x 3`` uint8; what is transparent becomes white."""
    from PIL import Image
    from PIL import ImageOps

    with Image.open(path) as file:
        file.draft(None, (2 * MAX_SIDE, 2 * MAX_SIDE))  # large JPEGs: decode what is needed
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):  # 16 bits
            image = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
    rgb = opaque.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(rgb)
