"""A history for peers that are meta-trained, and a configuration that takes no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
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
    """Search for the first parameter's last choice; the past says little of it."""
    return _search(setting, method, lambda row: float(row[0]))


def search_unrelated(setting: Setting, method: str) -> list[dict[str, str]]:
    """Search for something that the past says nothing of: both ends are equally good."""
    return _search(setting, method, lambda row: float(((row - 1.5) ** 2).sum() + row[2] % 2))


def _search(
    setting: Setting, method: str, value: Callable[[np.ndarray], float]
) -> list[dict[str, str]]:
    study = optuna.create_study(direction="maximize", sampler=peers.make(method, setting))
    study.optimize(lambda t: value(SPACE.encode(SPACE.suggest(t))), n_trials=12)
    return [trial.params for trial in study.trials]
