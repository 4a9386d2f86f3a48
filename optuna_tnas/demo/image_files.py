"""Image files of any size and mode as one array; Pillow reads them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from optuna.logging import get_logger
from tqdm import tqdm

from optuna_tnas.errors import DatasetError


MAX_SIDE = 64  # pixels; the recipe trains at 16 x 16

# Cameras and scanners write 8, 10, 12 or 14 bits into files of 16.
_RANGES = (255, 1023, 4095, 16383, 65535)

_logger = get_logger(f"optuna.{__name__}")


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

    Files that cannot be read are left out with one warning. Numbers of more than 8 bits are read
    in the smallest usual range that holds all the set's, others by the set's own extremes.

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
    stacked = np.stack(_in_one_range(images))
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


def _in_one_range(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """``H x W x 3`` uint8 of images that are so already, or ``H x W`` numbers of any range."""
    deep = [image for image in images if image.ndim == 2]
    if not deep:
        return [*images]
    lowest = min(0.0, *(float(image.min()) for image in deep))
    highest = max(float(image.max()) for image in deep)
    if lowest == 0 and all((image == image.round()).all() for image in deep) and highest > 1:
        highest = next((limit for limit in _RANGES if limit >= highest), highest)
    scale = 255 / (highest - lowest) if highest > lowest else 0.0
    return [
        np.repeat(((image - lowest) * scale).round().astype(np.uint8)[..., None], 3, axis=-1)
        if image.ndim == 2
        else image
        for image in images
    ]


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
    """``H x W x 3`` uint8, or ``H x W`` floats of gray values that are no bytes.

    What is transparent becomes white.
    """
    from PIL import Image
    from PIL import ImageOps

    with Image.open(path) as file:
        file.draft(None, (2 * MAX_SIDE, 2 * MAX_SIDE))  # large JPEGs: decode what is needed
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith(("I", "F")):  # 16 or 32 bits
            return _resized(np.asarray(image, dtype=np.float32), size)
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
    rgb = opaque.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(rgb)


def _resized(gray: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if not np.isfinite(gray).all():
        raise ValueError("values that are not finite")
    resized = Image.fromarray(gray).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized)
