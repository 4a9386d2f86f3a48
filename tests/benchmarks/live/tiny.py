"""A tiny image set."""

from __future__ import annotations

import numpy as np

from benchmarks.live.parts import divide
from benchmarks.live.parts import Parts
from optuna_tnas.demo.cell_training import Recipe


RECIPE = Recipe(width=4, resolution=8, epochs=1, batch_size=8)


def arrays(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes of different brightness: ``images``, ``labels`` and ``split``."""
    rng = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    images = rng.integers(0, 60, (90, 9, 9, 1)) + 60 * labels[:, None, None, None]
    return images.astype(np.uint8), labels, (np.arange(90) // 3 % 3 == 2).astype(np.int64)


def parts() -> Parts:
    return divide(*arrays(), RECIPE)
