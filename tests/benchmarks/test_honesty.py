"""The benchmark's figures are those of the table, and the target's table stays with it.

A method that imports the tables could read them; that none does is checked, too.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from collections.abc import Iterator
import csv
import gc
import gzip
import os
from pathlib import Path
import sys
from types import FunctionType
from types import ModuleType
from types import SimpleNamespace
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
import pytest

from benchmarks import peers
from benchmarks import run as module
from benchmarks import tasks
from benchmarks.common import networks
from benchmarks.past_settings import PastSetting
from benchmarks.peers import Setting
from benchmarks.peers.variants import VARIANTS
from benchmarks.report.figures import scope
from benchmarks.report.results import all_results
from benchmarks.run import drive
from benchmarks.run import Record
from benchmarks.run import run_search
from benchmarks.run import Search


pytest.importorskip("pandas")

FOLDER = os.environ.get("OPTUNA_TNAS_DATA")
TARGETS = ("c10", "c100", "in16")
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
PARAMETERS = ("op_0_1", "op_0_2", "op_1_2", "op_0_3", "op_1_3", "op_2_3")

Lines = dict[str, dict[str, str]]  # of the table's file, by the architecture's digits
Params = dict[str, str]


def params_of(digits: str) -> Params:
    return {name: OPS[int(d)] for name, d in zip(PARAMETERS, digits, strict=True)}


def digits_of(params: Params) -> str:
    return "".join(str(OPS.index(params[name])) for name in PARAMETERS)


def read(folder: Path) -> Lines:
    with gzip.open(folder / "tables" / "nasbench201.csv.gz", "rt") as file:
        return {line["ops"]: line for line in csv.DictReader(file)}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Lines]]:
    """Makes a folder the one that families are read from; returns its NAS-Bench-201."""

    def use(folder: Path) -> Lines:
        monkeypatch.setenv("OPTUNA_TNAS_DATA", str(folder))
        tasks.load.cache_clear()
        return read(folder)

    yield use
    tasks.load.cache_clear()


@pytest.fixture(scope="session")
def made_up_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A NAS-Bench-201 in which each value is there once, so that it tells where it is from."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "tables").mkdir()
    rng = np.random.default_rng(0)
    architectures = rng.permutation([np.base_repr(i, 5).zfill(6) for i in range(5**6)])
    values = rng.permutation(6 * 5**6).reshape(-1, 6) / 1000 + 0.0005
    columns = [f"{target}_{kind}_200" for target in TARGETS for kind in ("val", "test")]
    with gzip.open(folder / "tables" / "nasbench201.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ops", *columns])
        writer.writerows([ops, *row] for ops, row in zip(architectures, values, strict=True))
    return folder


@pytest.fixture
def made_up(made_up_folder: Path, load: Callable[[Path], Lines]) -> Lines:
    return load(made_up_folder)


class Scripted(RandomSampler):
    """Suggests given architectures, one after the other."""

    def __init__(self, script: list[Params]) -> None:
        super().__init__(seed=0)
        self._script = script

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self._script[trial.number % len(self._script)][name]


# --- regret ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("real", [False, True], ids=["made up", "real"])
def test_regret_of_known_architectures(
    real: bool, target: str, made_up_folder: Path, load: Callable[[Path], Lines]
) -> None:
    """Recomputed from the file's lines, whose architectures are those that were suggested."""
    if real and not FOLDER:
        pytest.skip("OPTUNA_TNAS_DATA is not set")
    table = load(Path(FOLDER) if real and FOLDER else made_up_folder)
    value = {ops: float(line[f"{target}_val_200"]) for ops, line in table.items()}
    true = {ops: float(line[f"{target}_test_200"]) for ops, line in table.items()}
    script = np.random.default_rng(1).choice(sorted(table), size=40).tolist()
    family = tasks.load("nasbench201")
    sampler = Scripted([params_of(ops) for ops in script])
    best, median = max(true.values()), np.median(list(true.values()))
    for n, step in enumerate(drive(sampler, family.space, family.tasks[target], 40), start=1):
        incumbent = max(script[:n], key=lambda ops: value[ops])
        assert step["value"] == value[script[n - 1]]
        assert step["best_value"] == value[incumbent]
        assert step["optimum"] == max(value.values())
        assert step["best_true"] == true[incumbent]
        assert step["regret"] == pytest.approx((best - true[incumbent]) / (best - median))


def searched(tmp_path: Path, method: str, target: str = "c10", seed: int = 0) -> list[Record]:
    return run_search(Search("nasbench201", target, method, seed, PastSetting(30), 12, tmp_path))


@pytest.mark.parametrize("method", ["random", "tpe", "gp"])
@pytest.mark.usefixtures("made_up")
def test_same_seed_same_records(method: str, tmp_path: Path) -> None:
    first, again, other = (
        [{**r, "seconds": 0, "seed": 0} for r in searched(tmp_path / name, method, seed=seed)]
        for name, seed in [("first", 0), ("again", 0), ("other", 1)]
    )
    assert first == again != other


def test_a_method_that_peeks_is_seen(
    made_up: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no regret from the first evaluation on, at the table's optimum, in the report."""
    best = max(made_up, key=lambda ops: float(made_up[ops]["c10_test_200"]))
    oracle = SimpleNamespace(sampler=lambda setting: Scripted([params_of(best)]))
    monkeypatch.setitem(sys.modules, "benchmarks.peers.oracle", oracle)
    records = [
        r
        for method in ("oracle", "random")
        for seed in range(3)
        for r in searched(tmp_path, method, seed=seed)
    ]
    assert [r["regret"] for r in records if r["method"] == "oracle"] == [0] * 3 * 12
    (results,) = all_results(records)
    figures = scope("nasbench201", results, results.targets, ours="random")
    peeks, honest = figures.methods
    assert peeks.name == figures.best_rivals[1] == "oracle"
    assert peeks.regret == {1: 0, 5: 0, 10: 0}
    assert peeks.rank_over_time == 1
    assert honest.regret[1] > 0


# --- what a method is told ------------------------------------------------------------------


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Setting]:
    """Grows by the setting of each search."""
    settings: list[Setting] = []

    def make(method: str, setting: Setting) -> BaseSampler:
        settings.append(setting)
        return RandomSampler(seed=setting.seed)

    monkeypatch.setattr(module.peers, "make", make)
    return settings


def reachable(thing: Any) -> list[Any]:
    """The thing and all that its attributes, items and elements lead to."""
    found: dict[int, Any] = {}
    left = [thing]
    while left:
        part = left.pop()
        if id(part) not in found and not isinstance(part, type | ModuleType):
            found[id(part)] = part
            left += parts(part)
    return list(found.values())


def parts(thing: Any) -> list[Any]:
    if isinstance(thing, np.ndarray):
        return thing.ravel().tolist()
    if isinstance(thing, FunctionType):  # not its module's globals
        return [thing.__defaults__, *(cell.cell_contents for cell in thing.__closure__ or ())]
    return gc.get_referents(thing)


def numbers(things: list[Any]) -> set[float]:
    return {float(x) for x in things if isinstance(x, int | float | np.number)}


PASTS = [
    PastSetting(30),
    PastSetting(30, tasks=1),
    PastSetting(30, spoil="shuffled"),
    PastSetting(5, "tpe"),
]


@pytest.mark.parametrize("past", PASTS, ids=str)
def test_target_is_not_in_the_setting(
    past: PastSetting, made_up: Lines, given: list[Setting], tmp_path: Path
) -> None:
    run_search(Search("nasbench201", "c100", "any", 0, past, 3, tmp_path))
    (setting,) = given
    found = reachable(setting)
    assert {trial.value for study in setting.history for trial in study.trials} <= numbers(found)
    for column in ("c100_val_200", "c100_test_200"):
        assert not numbers(found) & {float(line[column]) for line in made_up.values()}
    assert not any(isinstance(thing, tasks.TableTask | tasks.Family) for thing in found)


def test_the_walk_finds_a_leak(made_up: Lines, given: list[Setting], tmp_path: Path) -> None:
    run_search(Search("nasbench201", "c100", "any", 0, PASTS[0], 1, tmp_path))
    task = tasks.load("nasbench201").tasks["c100"]
    given[0].history[0].set_user_attr("note", {"best": [task.optimum]})
    for leak in (given[0], lambda: task, task.evaluate, {"array": task.value}, tasks.load):
        assert task.optimum in numbers(reachable(leak))


@pytest.mark.parametrize("target", TARGETS)
def test_studies_are_the_other_tasks(
    target: str, made_up: Lines, given: list[Setting], tmp_path: Path
) -> None:
    """With the values that the search on those would see."""
    run_search(Search("nasbench201", target, "any", 0, PastSetting(30), 1, tmp_path))
    (setting,) = given
    assert [study.study_name for study in setting.history] == [t for t in TARGETS if t != target]
    for study in setting.history:
        assert len(study.trials) == 30
        for trial in study.trials:
            line = made_up[digits_of(trial.params)]
            assert trial.value == float(line[f"{study.study_name}_val_200"])
    assert not setting.cache.exists()


MODULES = sorted(Path(peers.__file__).parent.glob("[!_]*.py"))
HELPERS = sorted(Path(peers.__file__).parent.glob("_[a-z]*.py"))
SHARED = Path(networks.__file__)


@pytest.mark.parametrize("file", [*MODULES, *HELPERS, SHARED], ids=lambda file: file.stem)
def test_no_method_imports_the_tables(file: Path) -> None:
    """Nor do the helpers: the modules with an underscore and the one that tables use too."""
    imported = set(imports(file.read_text()))
    of_benchmarks = {name for name in imported if name.split(".")[0] == "benchmarks"}
    assert all(name.startswith(("benchmarks.peers", networks.__name__)) for name in of_benchmarks)
    assert not imported & {"os", "sys", "gc", "inspect", "importlib"}


def test_every_method_is_in_one_of_the_modules_that_are_checked() -> None:
    assert {file.stem for file in MODULES} - {"variants"} | VARIANTS.keys() == set(peers.names())


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
