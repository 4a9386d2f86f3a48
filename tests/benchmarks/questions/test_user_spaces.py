"""Searches in the examples' spaces: paired, resumed, and never sampled independently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
import pytest

from benchmarks.questions import user_spaces
from examples import mlp


def test_the_sampler_refuses_what_it_does_not_sample_together() -> None:
    study = optuna.create_study(sampler=user_spaces.sampler_of("tnas", mlp.SPACE, 0))
    trial = study.ask()
    mlp.SPACE.suggest(trial)
    with pytest.raises(AssertionError, match="beside"):
        trial._suggest("beside", FloatDistribution(0, 1))


def test_searches_are_paired_and_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_spaces, "BUDGETS", (1, 3))
    monkeypatch.setattr(mlp, "objective", lambda trial: float(len(mlp.SPACE.suggest(trial))))
    path = tmp_path / "mlp.jsonl"
    user_spaces.run("mlp", 1, 3, path)
    kept = path.read_text()
    curves = user_spaces.run("mlp", 2, 3, path)
    assert path.read_text().startswith(kept) and len(path.read_text().splitlines()) == 6
    assert user_spaces.read(path, 3) == curves
    assert all((np.diff(c) <= 0).all() for found in curves.values() for c in found.values())
    ours, tpe, _ = user_spaces.rows(curves, 2, 3)
    means = [np.mean([curves[m][s][2] for s in range(2)]) for m in ("tnas", "tpe")]
    assert [ours[2], tpe[2]] == [f"{mean:.3f}" for mean in means]
    assert ours[3:] == ["", ""] and tpe[4].startswith(f"{means[1] - means[0]:+.3f} [")
