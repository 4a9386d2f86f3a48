"""A table: depth, widths and skip connections of a network, with its learning rate.

Past studies on other tables make the second search start where the first ones ended. Run it as
``python examples/tabular.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.datasets import load_iris
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
import torch
from torch import nn

from optuna_tnas import DatasetSample
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space


TABLES = {"iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer}
WIDTHS = (8, 16, 32)


def build(trial: optuna.trial.BaseTrial) -> nx.DiGraph:
    """Ask for a network: blocks of a width and an activation, some with a skip connection."""
    graph, before = nx.DiGraph(), "input"
    graph.add_node("input", op="input")
    width = trial.suggest_categorical("width", WIDTHS)
    for i in range(trial.suggest_int("depth", 1, 3)):
        activation = trial.suggest_categorical(f"activation_{i}", ["relu", "tanh"])
        graph.add_node(f"block_{i}", op=f"{activation}_{width}")
        graph.add_edge(before, f"block_{i}")
        if i > 0 and trial.suggest_categorical(f"skip_{i}", [False, True]):
            graph.add_node(f"skip_{i}", op="skip")
            graph.add_edges_from([(before, f"skip_{i}"), (f"skip_{i}", f"block_{i}")])
        before = f"block_{i}"
    return graph


SPACE = Space.from_define_by_run(build)


class Network(nn.Module):
    """The network of a trial's parameters."""

    def __init__(self, params: dict[str, object], n_features: int, n_classes: int) -> None:
        super().__init__()
        width = int(str(params["width"]))
        depth = int(str(params["depth"]))
        self.first = nn.Linear(n_features, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.activations = [getattr(torch, str(params[f"activation_{i}"])) for i in range(depth)]
        self.skips = [bool(params.get(f"skip_{i}", False)) for i in range(depth)]
        self.last = nn.Linear(width, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``n x features`` -> ``n x classes`` logits."""
        x = self.first(x)
        for block, activation, skip in zip(self.blocks, self.activations, self.skips, strict=True):
            x = activation(block(x)) + (x if skip else 0)
        return self.last(x)


def objective_on(name: str) -> Callable[[optuna.Trial], float]:
    """Make the objective of a table: train, and return the validation loss."""
    X, y = TABLES[name](return_X_y=True)
    parts = train_test_split(StandardScaler().fit_transform(X), y, random_state=0, stratify=y)
    X, X_valid, y, y_valid = (torch.as_tensor(part) for part in parts)

    def objective(trial: optuna.Trial) -> float:
        torch.manual_seed(trial.number)
        model = Network(SPACE.suggest(trial), X.shape[1], int(y.max()) + 1)
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        optimizer = torch.optim.Adam(model.parameters(), rate)
        for _ in range(30):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X.float()), y).backward()
            optimizer.step()
        with torch.no_grad():
            return float(nn.functional.cross_entropy(model(X_valid.float()), y_valid))

    return objective


def main(n_trials: int = 8) -> optuna.Study:
    """Search on two tables, learn from them, search on the third."""
    past = []
    for name in ("iris", "wine"):
        study = optuna.create_study(study_name=name, sampler=optuna.samplers.RandomSampler(seed=0))
        study.optimize(objective_on(name), n_trials=2 * n_trials)
        past.append(study)
    samples = {name: DatasetSample.from_arrays(*TABLES[name](return_X_y=True)) for name in TABLES}
    meta = meta_train(MetaDataset.from_studies(past, SPACE, datasets=samples), seed=0)
    study = optuna.create_study(sampler=TNASSampler(meta, dataset=samples["cancer"], seed=0))
    study.optimize(objective_on("cancer"), n_trials=n_trials)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(best.value, best.params)
