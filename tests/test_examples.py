"""The examples run, and their searches repeat nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
import pytest

from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space


def assert_no_repeats(found: list[Mapping[str, Any]], n: int, space: Space) -> None:
    """Of architecture and hyper-parameters together."""
    assert len(found) == n
    assert len({(*space.encode(p), p.get("learning_rate")) for p in found}) == n


def assert_complete(study: optuna.Study, n: int, space: Space) -> None:
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * n
    assert_no_repeats([t.params for t in study.trials], n, space)


def test_tabular() -> None:
    from examples import tabular

    study = tabular.main(n_trials=4)
    assert_complete(study, 4, tabular.SPACE)
    assert all("learning_rate" in trial.params for trial in study.trials)


@pytest.mark.parametrize("name", ["mlp", "transformer", "darts_cell", "graph_network"])
def test_spaces_of_ones_own(name: str) -> None:
    example = import_module(f"examples.{name}")
    study = example.main(n_trials=4)
    assert_complete(study, 4, example.SPACE)
    assert len({trial.value for trial in study.trials}) > 1


def test_two_processes_of_torch_distributed(tmp_path: Path) -> None:
    pytest.importorskip("optuna_integration")
    from examples import distributed_data_parallel as ddp

    assert_complete(ddp.main(str(tmp_path)), ddp.N_TRIALS, ddp.SPACE)


def test_dask() -> None:
    pytest.importorskip("distributed")
    from examples import dask_cluster

    n_trials = dask_cluster.N_WORKERS * dask_cluster.N_TRIALS
    assert_complete(dask_cluster.main(), n_trials, NASBench201Space())


def test_lightning() -> None:
    pytest.importorskip("lightning")
    pytest.importorskip("optuna_integration")
    from examples import lightning_trainer

    study = lightning_trainer.main(n_trials=5)
    assert {t.state for t in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert_no_repeats([t.params for t in study.trials], 5, lightning_trainer.SPACE)
    for trial in study.get_trials(states=[TrialState.COMPLETE]):
        assert list(trial.intermediate_values) == list(range(lightning_trainer.N_EPOCHS))


@pytest.mark.slow
def test_ray_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from examples import ray_tune

    try:
        ray.init(num_cpus=2, include_dashboard=False)
        results = ray_tune.main(str(tmp_path))
    finally:
        ray.shutdown()
    assert results.num_errors == 0
    found = [result.config for result in results]
    assert_no_repeats(found, ray_tune.N_TRIALS, NASBench201Space())
    assert all(1e-4 <= config["learning_rate"] <= 1e-1 for config in found)
    assert all(config["epochs"] == 12 for config in found)
