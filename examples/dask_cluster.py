"""Dask: workers of a cluster share one study that the scheduler holds.

Needs the extra ``integrations``. Run it as ``python examples/dask_cluster.py``.
"""

from __future__ import annotations

from distributed import Client
from distributed import LocalCluster
from distributed import wait
import optuna
from optuna_integration.dask import DaskStorage

from optuna_tnas import TNASSampler
from optuna_tnas.spaces import NASBench201Space


N_WORKERS, N_TRIALS = 2, 5  # of each worker


def objective(trial: optuna.Trial) -> float:
    """Stand for a training of the network on a worker; return its validation accuracy."""
    space = NASBench201Space()
    network = space.to_graph(space.suggest(trial))
    return [op for _, op in network.nodes(data="op")].count("nor_conv_3x3")


def main() -> optuna.Study:
    """Send the study, sampler included, to each worker."""
    cluster = LocalCluster(n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        storage = DaskStorage(client=client)
        sampler = TNASSampler.load("nasbench201", seed=0)
        study = optuna.create_study(storage=storage, direction="maximize", sampler=sampler)
        jobs = [
            client.submit(study.optimize, objective, n_trials=N_TRIALS, pure=False)
            for _ in range(N_WORKERS)
        ]
        wait(jobs)
        for job in jobs:
            job.result()
        result = optuna.create_study(direction="maximize")
        result.add_trials(study.trials)
    return result


if __name__ == "__main__":
    print(main().best_trial.params)
