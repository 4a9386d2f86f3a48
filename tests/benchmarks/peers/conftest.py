"""The made-up family, for each test anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optuna_tnas.spaces import CellSpace
from tests.benchmarks.peers.toy import Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    rng = np.random.default_rng(0)
    gains = rng.normal(size=(2, 3, 4))
    like, unlike = (a[:, None, None] + b[:, None] + c for a, b, c in gains)
    target = like + 0.1 * rng.normal(size=(4, 4, 4))
    space = CellSpace.on_edges(3, ["none", "skip", "conv", "pool"], zero=["none"])
    return Toy(space, 80 + target, (60 + 5 * like, unlike), tmp_path)
