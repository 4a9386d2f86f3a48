"""Featurizers: images and tables as points, without or with a pretrained network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from optuna_tnas.errors import DatasetError


if TYPE_CHECKING:
    from torch import nn


N_FEATURES = 186  # width of the default featurizer's points
N_SIZES = 2  # the last columns of them, which are the same for all points of a data set

_CELLS = 4  # the image is described on a 4 x 4 grid
_ORIENTATIONS = 8
_SIDE = 32  # pixels that images are resized to
_CHUNK = 500  # images described at a time
_BATCH = 50  # images that a network sees at a time
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_points(images: np.ndarray) -> np.ndarray:
    """Describe all images as :meth:`DatasetSample.from_arrays` does, a few at a time.

    Args:
        images: ``n x H x W`` or ``n x H x W x C``.

    Returns:
        ``n x 184`` float32.
    """
    chunks = [images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK)]
    return np.concatenate([image_features(chunk) for chunk in chunks]).astype(np.float32)


def table_features(table: np.ndarray) -> np.ndarray:
    """Project standardized columns on fixed random directions: ``n x features`` -> ``n x 184``."""
    table = table.astype(np.float64)
    spread = table.std(axis=0)
    standardized = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1)
    width = N_FEATURES - N_SIZES
    directions = np.random.RandomState(0).standard_normal((table.shape[1], width))
    return np.asarray(standardized @ directions / np.sqrt(table.shape[1]))


def image_features(images: np.ndarray) -> np.ndarray:
    """Describe colors, edges, contrast, spectrum and size: ``n x H x W [x C]`` -> ``n x 184``."""
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


def network_features(images: np.ndarray, network: nn.Module, side: int) -> np.ndarray:
    """Embed images with a network in evaluation mode: ``n x H x W [x C]`` -> ``n x F``.

    Args:
        images: Images as for :func:`image_points`.
        network: Maps ``n x 3 x side x side`` images to ``n x F``; its modules' modes are restored.
        side: Height and width in pixels that images are resized to.

    Raises:
        DatasetError: If the network's output is not ``n x F``.
    """
    chunks = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
    with _evaluating(network):
        embedded = [_embedded(network, _resize(_rgb(chunk), side)) for chunk in chunks]
    if embedded[0].ndim != 2:
        raise DatasetError(
            f"The network maps a batch of images to the shape {embedded[0].shape}; it must be "
            "n x F. Replace its last layers by torch.nn.Identity() or torch.nn.Flatten()."
        )
    return np.concatenate(embedded)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put the network in evaluation mode for a while.

    Each module gets its own mode back: parts of a network that trains may be frozen.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _embedded(network: nn.Module, rgb: np.ndarray) -> np.ndarray:
    """Embed one batch, ``n x 3 x side x side`` in 0..1, on the network's device: ``n x F``."""
    import torch

    mean, std = (np.array(v, np.float32)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_STD))
    like = next(network.parameters(), torch.empty(0))
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy((rgb - mean) / std).to(like)).cpu().numpy())


def _rgb(images: np.ndarray) -> np.ndarray:
    """Convert images to float ``n x 3 x H x W`` in 0..1.

    Raises:
        DatasetError: If their shape or range is another one.
    """
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
    """Compute histograms of oriented gradients (Dalal and Triggs, 2005): ``n x 4*4*8``."""
    dy, dx = np.gradient(luminance, axis=(1, 2))
    strength = np.hypot(dx, dy)
    bins = np.floor((np.arctan2(dy, dx) % np.pi) / np.pi * _ORIENTATIONS).astype(int)
    bins = np.minimum(bins, _ORIENTATIONS - 1)
    votes = strength[..., None] * (bins[..., None] == np.arange(_ORIENTATIONS))
    size = _SIDE // _CELLS
    cells = votes.reshape(len(luminance), _CELLS, size, _CELLS, size, _ORIENTATIONS)
    return np.asarray(cells.mean(axis=(2, 4)).reshape(len(luminance), -1))


def _spectrum(luminance: np.ndarray) -> np.ndarray:
    """Compute the log energy in four octaves of spatial frequency: ``n x 4``."""
    power = np.abs(np.fft.fft2(luminance)) ** 2 / luminance[0].size
    frequency = np.fft.fftfreq(_SIDE) * _SIDE
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    edges = [(1, 2), (2, 4), (4, 8), (8, 17)]
    bands = [power[:, (radius >= lo) & (radius < hi)].mean(axis=1) for lo, hi in edges]
    return np.log10(np.stack(bands, axis=1) + 1e-6)
