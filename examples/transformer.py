"""A small vision transformer: its layers, and each layer's heads and width.

Run it as ``python -m examples.transformer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
import torch
from torch import nn
from torch import Tensor

from examples import digits
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space


WIDTH = 16


def build(trial: optuna.trial.BaseTrial) -> list[str]:
    """Ask for one to four layers; return the operations that tell them apart."""
    blocks = []
    for i in range(trial.suggest_int("layers", 1, 4)):
        blocks.append(f"attention_{trial.suggest_categorical(f'heads_{i}', [1, 2, 4, 8])}")
        blocks.append(f"mlp_{trial.suggest_int(f'ratio_{i}', 1, 4)}")
    return blocks


SPACE = Space.from_define_by_run(build)


class Transformer(nn.Module):
    """Reads an image as a sequence of its eight rows.

    Args:
        params: Parameters of a trial.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.embed = nn.Linear(8, WIDTH)
        self.position = nn.Parameter(0.1 * torch.randn(8, WIDTH))
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    WIDTH,
                    params[f"heads_{i}"],
                    params[f"ratio_{i}"] * WIDTH,
                    dropout=0.0,
                    batch_first=True,
                    norm_first=True,
                )
                for i in range(params["layers"])
            )
        )
        self.classify = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, digits.N_CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """``n x 8 x 8`` -> ``n x classes`` logits."""
        return self.classify(self.layers(self.embed(images) + self.position).mean(dim=1))


def objective(trial: optuna.Trial) -> float:
    """Train a trial's network and return its validation loss."""
    torch.manual_seed(0)
    return digits.validation_loss(Transformer(SPACE.suggest(trial)), epochs=8, rate=1e-2)


def main(n_trials: int = 30) -> optuna.Study:
    """Search without a past."""
    study = optuna.create_study(sampler=TNASSampler(space=SPACE, seed=0))
    study.optimize(objective, n_trials=n_trials)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(best.value, best.params)
