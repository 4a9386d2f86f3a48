"""Depth, and each layer's width and dropout: a space from ordinary code.

Run it as ``python -m examples.mlp``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
import torch
from torch import nn

from examples import digits
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space


def build(trial: optuna.trial.BaseTrial) -> list[str]:
    """Ask for one to eight layers; return the operations that tell them apart."""
    layers = []
    for i in range(trial.suggest_int("n_layers", 1, 8)):
        layers.append(f"linear_{trial.suggest_int(f'width_{i}', 16, 128, step=16)}")
        dropout = trial.suggest_categorical(f"dropout_{i}", [0.0, 0.1, 0.2, 0.5])
        if dropout:
            layers.append(f"dropout_{dropout}")
    return layers


SPACE = Space.from_define_by_run(build)


def network(params: Mapping[str, Any]) -> nn.Module:
    """Build the network of a trial's parameters."""
    layers, width = [nn.Flatten()], 64
    for i in range(params["n_layers"]):
        layers += [nn.Linear(width, params[f"width_{i}"]), nn.ReLU()]
        layers.append(nn.Dropout(params[f"dropout_{i}"]))
        width = params[f"width_{i}"]
    return nn.Sequential(*layers, nn.Linear(width, digits.N_CLASSES))


def objective(trial: optuna.Trial) -> float:
    """Train a trial's network and return its validation loss."""
    torch.manual_seed(0)
    return digits.validation_loss(network(SPACE.suggest(trial)), epochs=15)


def main(n_trials: int = 30) -> optuna.Study:
    """Search without a past."""
    study = optuna.create_study(sampler=TNASSampler(space=SPACE, seed=0))
    study.optimize(objective, n_trials=n_trials)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(best.value, best.params)
