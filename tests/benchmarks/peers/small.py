"""A history for peers that are meta-trained, and a configuration that takes no time."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from benchmarks import peers
from benchmarks.peers import Setting
from optuna_tnas import Config
from optuna_tnas.spaces import CellSpace


SPACE = CellSpace.on_edges(3, ["none", "skip", "conv", "pool"], zero=["none"])
SMALL = Config(outer_steps=1, inner_steps=1, batch_size=16, architecture_hidden=8)


def past(name: str, seed: int, sign: float = 1.0) -> optuna.Study:
    study = optuna.create_study(
        study_name=name, direction="maximize", sampler=optuna.samplers.RandomSampler(seed)
    )
    study.optimize(lambda t: sign * float(SPACE.encode(SPACE.suggest(t)).sum()), n_trials=12)
    return study


def setting_of(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Every preset is ``config``."""
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: config))
    return Setting(SPACE, (past("a", 0), past("b", 1)), seed=3, cache=folder / "meta")


def search(setting: Setting, method: str) -> list[dict[str, str]]:
    study = optuna.create_study(direction="maximize", sampler=peers.make(method, setting))
    study.optimize(lambda t: float(SPACE.encode(SPACE.suggest(t))[0]), n_trials=8)
    return [trial.params for trial in study.trials]
