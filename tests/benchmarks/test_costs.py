from __future__ import annotations

from importlib.util import find_spec
import os

import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.tasks import costs
from benchmarks.tasks import reading
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import MobileNetV3Space


needs_tables = pytest.mark.skipif(
    not os.environ.get("OPTUNA_TNAS_DATA"), reason="OPTUNA_TNAS_DATA is not set"
)
needs_graph = pytest.mark.skipif(
    not find_spec("nas_bench_graph"), reason="nas_bench_graph is not installed"
)


@needs_tables
def test_latencies_are_those_of_the_cells() -> None:
    found = costs.latencies("c100", "raspi4")
    measured = reading.table("nasbench201_hardware").set_index("index")
    assert len(found) == 15_625
    assert found[0] == pytest.approx(measured.loc[0, "c100_raspi4_latency"])
    with pytest.raises(tasks.TableError, match=r"'phone'.*'raspi4'"):
        costs.latencies("c10", "phone")
    space, cost = tasks.load("nasbench201").space, costs.cost("nasbench201", "c100", "raspi4")
    cells = reading.digits(reading.table("nasbench201")["ops"])
    assert [cost(cells[i]) for i in (0, 77, 9_999)] == found[[0, 77, 9_999]].tolist()
    assert space.size == len(costs.attainable("nasbench201", "c100", "raspi4"))


@needs_tables
@needs_graph
def test_graph_networks_take_as_long_as_the_table_says() -> None:
    family, table = tasks.load("nasbenchgraph"), reading.table("nasbench_graph")
    cost = costs.cost("nasbenchgraph", "cora", "")
    names = ["input", "a", "b", "c", "d"]
    for _, line in table.sample(20, random_state=0).iterrows():
        digits = f"{line['link']:04d}"
        links = {f"link_{n}": names[int(v)] for n, v in zip("abcd", digits, strict=True)}
        ops = {f"op_{n}": op for n, op in zip("abcd", line["ops"].split("|"), strict=True)}
        seconds = cost(family.space.encode({**links, **ops}))
        assert seconds == pytest.approx(line["cora_lat_s"], rel=1e-3)


def test_multiply_accumulates_are_exact() -> None:
    space = MobileNetV3Space()
    X = space.sample(30, np.random.default_rng(0))
    X = np.concatenate([X, np.zeros((1, 45), np.int64), np.full((1, 45), 2)])
    exact = [count_macs(space, space.decode(row)) / 1e6 for row in X]
    np.testing.assert_allclose(costs.macs()(X), exact, rtol=1e-12)
    assert costs.cost("mobilenetv3", "imagenet", "")(X[0]) == pytest.approx(exact[0])
