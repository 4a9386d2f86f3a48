"""Search a cell of NAS-Bench-201, starting from what 19 image sets taught."""

from __future__ import annotations

import optuna
from optuna_tnas.spaces import NASBench201Space
import optunahub


TNASSampler = optunahub.load_module(package="samplers/tnas").TNASSampler
space = NASBench201Space()


def objective(trial: optuna.Trial) -> float:
    """Stands for training the network and returning its validation accuracy."""
    cell = space.to_graph(space.suggest(trial))
    operations = [op for _, op in cell.nodes(data="op")]
    return operations.count("nor_conv_3x3") - 0.1 * len(operations)


if __name__ == "__main__":
    sampler = TNASSampler.load("nasbench201", seed=0)  # comes with the package, no download
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=10)
    print(study.best_value, study.best_params)
