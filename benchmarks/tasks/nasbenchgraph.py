"""NAS-Bench-Graph, from PyPI: 26,206 networks, of which the space holds every numbering.

The network of nothing but skips was not measured; here it is as bad as the worst.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from benchmarks.tasks.base import Family
from benchmarks.tasks.base import TableError
from benchmarks.tasks.base import TableTask
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import OneOf


OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
_TASKS = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")


def family() -> Family:
    """Load eight graph data sets."""
    tables = {name: _table(name) for name in _TASKS}
    networks = _networks(list(tables["cora"]))
    tasks = {
        name: TableTask(networks, _percent(table, "valid_perf"), _percent(table, "perf"))
        for name, table in tables.items()
    }
    return Family(space(), tasks)


def latencies(name: str) -> np.ndarray:
    """Return seconds by network, the one that was not measured being as slow as the slowest."""
    seconds = [measured["latency"] for measured in _table(name).values()]
    return np.append(seconds, max(seconds))


def _table(name: str) -> dict[int, Mapping[str, float]]:
    """Read what was measured on a data set, in the order of the networks' keys."""
    try:
        from nas_bench_graph import light_read
    except ImportError:
        raise TableError(
            "NAS-Bench-Graph comes from PyPI: pip install 'optuna-tnas[bench]'"
        ) from None
    return dict(sorted(light_read(name).items()))


def space() -> CellSpace:
    names = ["a", "b", "c", "d"]
    return CellSpace(
        [Node(name, OPS, [OneOf("input", *names[:i])]) for i, name in enumerate(names)]
    )


def _percent(table: Mapping[int, Mapping[str, float]], figure: str) -> np.ndarray:
    """Return percent by network, with the one that was not measured last.

    The figures are means of few runs; at five digits equal means are equal numbers.
    """
    shares = np.round([measured[figure] for measured in table.values()], 5)
    return 100.0 * np.append(shares, shares.min())


def _networks(keys: Sequence[int]) -> np.ndarray:
    """Number the network of each architecture, parameters being link, op, link, op, ..."""
    forms = [*map(_listed, keys), form([0] * 4, ["skip"] * 4)]
    number = {listed: i for i, listed in enumerate(forms)}
    assert len(number) == len(forms), "two listed networks are the same"
    links = product(*(range(i + 1) for i in range(4)))
    networks = [number[form(link, ops)] for link in links for ops in product(OPS, repeat=4)]
    by_link = np.array(networks).reshape(1, 2, 3, 4, 9, 9, 9, 9)
    return by_link.transpose(0, 4, 1, 5, 2, 6, 3, 7)


def _listed(key: int) -> Form:
    """Decode a key's five digits: the position of the links in a list, and of operations."""
    from nas_bench_graph import gnn_list
    from nas_bench_graph import link_list

    link, *ops = (int(digit) for digit in f"{key:05d}")
    return form(link_list[link], [gnn_list[op] for op in ops])


Form = tuple[str, tuple[Any, ...]]  # an operation and the sorted forms of those that read it


def form(links: Sequence[int], ops: Sequence[str]) -> Form:
    """Turn a network into a tree without the numbering of its operations.

    Two architectures are the same network if they differ in numbering, or in skips that change
    nothing: those that others read, that are all which reads an operation, or that lead the
    input to the output (its width is not a hidden one, so there the benchmark drops them).
    """
    readers = [[i for i, source in enumerate(links, start=1) if source == v] for v in range(5)]
    labels = ["input", *ops]

    def below(v: int) -> list[Form]:
        forms: list[Form] = []
        for reader in readers[v]:
            passed_over = labels[reader] == "skip" and readers[reader]
            forms += below(reader) if passed_over else [tree(reader)]
        return forms

    def tree(v: int) -> Form:
        forms = below(v)
        if v == 0:
            forms = [f for f in forms if f != _SKIP]
        elif forms == [_SKIP]:
            forms = []
        return labels[v], tuple(sorted(forms))

    return tree(0)


_SKIP: Form = ("skip", ())
