"""The plot of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.evaluation.replay import METHODS
from optuna_tnas.evaluation.replay import Outcome
from optuna_tnas.evaluation.summary import Summary


pytest.importorskip("matplotlib")
from optuna_tnas.evaluation.plot import draw


def summary(n: int) -> Summary:
    rng = np.random.default_rng(0)
    names = [f"a study called {i}" for i in range(n)]
    outcomes = [
        Outcome(
            target=target,
            seed=0,
            architectures=40,
            trials=dict.fromkeys(METHODS, 3.0),
            regret={method: sorted(rng.random(20), reverse=True) for method in METHODS},
            rank_correlation=0.5,
            sources={name: rng.uniform(-1, 1) for name in names if name != target},
        )
        for target in names
    ]
    return Summary.of(outcomes, 20)


@pytest.mark.parametrize("n", [2, 20])
def test_it_grows_with_the_studies(n: int, tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw(summary(n), tmp_path / "evaluation.png")
    height, width, _ = imread(tmp_path / "evaluation.png").shape
    assert height >= 130 * 0.28 * n
    assert width > height


def test_the_plot_is_drawn_or_refused_plainly(tmp_path: Path) -> None:
    draw(summary(2), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    for name in ("no-folder/p.png", "p.docx"):
        with pytest.raises(OptunaTNASError, match="cannot be written"):
            draw(summary(2), tmp_path / name)
