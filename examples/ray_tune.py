"""Ray Tune: trials in Ray's processes, architectures from TNASSampler.

Needs the extra ``integrations``. Run it as ``python examples/ray_tune.py``.
"""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from optuna_tnas import TNASSampler
from optuna_tnas.spaces import NASBench201Space


N_TRIALS = 8


def ask(trial: Any) -> dict[str, Any]:
    """Ask for one configuration; what is returned is added to it as constants."""
    NASBench201Space().suggest(trial)
    trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    return {"epochs": 12}


def train(config: dict[str, Any]) -> dict[str, float]:
    """Stand for a training of the network on a worker; return its validation accuracy."""
    network = NASBench201Space().to_graph(config)
    operations = [op for _, op in network.nodes(data="op")]
    return {"accuracy": operations.count("nor_conv_3x3") - config["learning_rate"]}


def main(folder: str | None = None) -> tune.ResultGrid:
    """Search with two trials at a time; results go to the folder, ``~/ray_results`` by default."""
    sampler = TNASSampler.load("nasbench201", seed=0)
    search = OptunaSearch(ask, metric="accuracy", mode="max", sampler=sampler)
    tuner = tune.Tuner(
        train,
        tune_config=tune.TuneConfig(
            search_alg=ConcurrencyLimiter(search, max_concurrent=2),
            num_samples=N_TRIALS,
            reuse_actors=True,  # so that two processes do it, not one for each trial
        ),
        run_config=tune.RunConfig(storage_path=folder),
    )
    return tuner.fit()


if __name__ == "__main__":
    best = main().get_best_result("accuracy", "max")
    print(best.metrics["accuracy"], best.config)
