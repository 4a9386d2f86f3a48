from __future__ import annotations

import os

import numpy as np
import optuna
import pytest

from benchmarks import tasks
from benchmarks.build import ship_checkpoints
from optuna_tnas import checkpoint
from optuna_tnas import Config
from optuna_tnas import TNASSampler


needs_tables = pytest.mark.skipif(
    not os.environ.get("OPTUNA_TNAS_DATA"), reason="OPTUNA_TNAS_DATA is not set"
)
SMALL = Config(
    outer_steps=1, inner_steps=1, batch_size=16, architecture_hidden=8, points_per_class=3
)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: SMALL))


@needs_tables
def test_a_history_without_a_task_has_none_of_its_studies() -> None:
    whole = ship_checkpoints.history("nasbench201")
    names = [ship_checkpoints.task_of(task) for task in whole.tasks]
    assert names.count("c10") == ship_checkpoints.N_STUDIES
    without = ship_checkpoints.history("nasbench201", ["c10", "mnist"])
    assert {ship_checkpoints.task_of(t) for t in without.tasks} == set(names) - {"c10", "mnist"}


@needs_tables
def test_studies_of_a_table_hold_different_cells_with_their_values() -> None:
    whole = ship_checkpoints.history("nasbench201")
    studies = [task for task in whole.tasks if ship_checkpoints.task_of(task) == "c100"]
    X = np.concatenate([task.X for task in studies])
    assert len(np.unique(X, axis=0)) == len(X)
    table = tasks.load("nasbench201x5").tasks["c100"]
    assert studies[1].y[7] == table.evaluate(studies[1].X[7]).value


@needs_tables
def test_imagenet_is_as_the_predictor_ranks_it() -> None:
    imagenet, *archives = ship_checkpoints.history("mobilenetv3").tasks
    assert [task.name for task in archives] == list(tasks.load("mobilenetv3").archives)
    predicted = tasks.mobilenetv3.predictor()(imagenet.X)
    assert np.corrcoef(predicted, imagenet.y)[0, 1] > 0.95


@pytest.mark.parametrize("name", sorted(ship_checkpoints.ABOUT))
def test_what_the_package_ships(name: str) -> None:
    file = checkpoint._SHIPPED / f"{name}.pt"
    assert file.stat().st_size < 3e6
    surrogate = checkpoint.load(name)
    card = surrogate.provenance["card"]
    assert card.keys() == {*ship_checkpoints.ABOUT[name], "Spearman on tasks left out"}
    seen = {task.split(".")[0] for task in surrogate.provenance["tasks"]}
    assert seen <= card["Spearman on tasks left out"].keys()
    study = optuna.create_study(direction="maximize", sampler=TNASSampler.load(name, seed=0))
    for number in range(3):
        study.tell(study.ask(surrogate.space.distributions()), float(number))
    assert len({tuple(t.params.items()) for t in study.trials}) == 3
