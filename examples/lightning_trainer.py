"""Lightning's Trainer trains each network; a pruner ends those that fall behind.

Run it as ``python -m examples.lightning_trainer``.
"""

from __future__ import annotations

import logging

from lightning.pytorch import LightningModule
from lightning.pytorch import seed_everything
from lightning.pytorch import Trainer
import optuna
from optuna.pruners import MedianPruner
from optuna_integration import PyTorchLightningPruningCallback
import torch
from torch import nn
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import TensorDataset

from examples import digits
from examples.mlp import network
from examples.mlp import SPACE
from optuna_tnas import TNASSampler


N_EPOCHS = 8


class Classifier(LightningModule):
    """A network, its loss and its optimizer; nothing of it is the sampler's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: list[Tensor]) -> Tensor:
        """Return the mean cross-entropy of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.model(images), labels)

    def validation_step(self, batch: list[Tensor]) -> None:
        """Log the loss on the validation images."""
        self.log("valid_loss", self.training_step(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), 3e-3)


def objective(trial: optuna.Trial) -> float:
    """Train a trial's network and return its validation loss."""
    seed_everything(0, verbose=False)
    model = Classifier(network(SPACE.suggest(trial)))
    x, x_valid, y, y_valid = digits.load()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=N_EPOCHS,
        callbacks=[PyTorchLightningPruningCallback(trial, monitor="valid_loss")],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        model,
        DataLoader(TensorDataset(x, y), batch_size=50, shuffle=True),
        DataLoader(TensorDataset(x_valid, y_valid), batch_size=len(x_valid)),
    )
    return float(trainer.callback_metrics["valid_loss"])


def main(n_trials: int = 15) -> optuna.Study:
    """Search without a past."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    sampler, pruner = TNASSampler(space=SPACE, seed=0), MedianPruner(n_startup_trials=3)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=n_trials)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(best.value, best.params)
