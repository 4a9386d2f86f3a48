"""Second objectives of families: what a network costs, to be low while it is accurate.

``nasbench201``: milliseconds on a device, HW-NAS-Bench (Li et al., ICLR 2021). ``nasbenchgraph``:
the table's seconds. ``mobilenetv3``: exact multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from benchmarks import tasks
from benchmarks.tasks import mobilenetv3
from benchmarks.tasks import nasbenchgraph
from benchmarks.tasks import reading
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.studies.fronts import non_dominated


Cost = Callable[[np.ndarray], float]  # of an architecture, ``P`` positions

FAMILIES = ("nasbench201", "nasbenchgraph", "mobilenetv3")
# Millions of multiply-accumulates, under which the best MobileNetV3s are looked for.
_LIMITS = np.geomspace(130, 800, 16)


def cost(family: str, name: str, device: str) -> Cost:
    """Give the cost of a family's networks on a task.

    Args:
        family: One of :data:`FAMILIES`.
        name: The name of the task or archive.
        device: Where latencies were measured, which only ``nasbench201`` tells apart.
    """
    if family == "mobilenetv3":
        return lambda row: float(macs()(row[None])[0])
    by_network = _by_network(family, name, device)
    evaluate = next(iter(tasks.load(family).tasks.values())).evaluate
    return lambda row: float(by_network[evaluate(row).network])


def attainable(family: str, target: str, device: str) -> np.ndarray:
    """Give true accuracies and negated costs, the true front among them: ``n x 2``.

    Of all networks, or, of ``mobilenetv3``, the best that evolutions under limits of the cost
    find.
    """
    task = tasks.load(family).tasks[target]
    if family == "mobilenetv3":
        return _evolved()
    assert isinstance(task, tasks.TableTask)
    return np.stack([task.true, -_by_network(family, target, device)], axis=1)


def _by_network(family: str, name: str, device: str) -> np.ndarray:
    return nasbenchgraph.latencies(name) if family == "nasbenchgraph" else latencies(name, device)


def latencies(target: str, device: str) -> np.ndarray:
    """Read the latency of every cell of NAS-Bench-201 on a device: 15,625 milliseconds.

    Raises:
        TableError: If the table is not there, or has no such device.
    """
    measured = reading.table("nasbench201_hardware").sort_values("index")
    column = f"{target}_{device}_latency"
    if column not in measured:
        known = [c.split("_")[1] for c in measured if c.startswith(f"{target}_")]
        raise tasks.TableError(f"There is no device {device!r}; choose of {sorted({*known})}.")
    return np.asarray(measured[column], dtype=np.float64)


# --- multiply-accumulates -------------------------------------------------------------------


class Macs:
    """Counts the multiply-accumulates of MobileNetV3s, in millions, as sums over their layers."""

    def __init__(self) -> None:
        self._space = MobileNetV3Space()
        n_layers = mobilenetv3.STAGES * mobilenetv3.LAYERS
        self._base = self._count()
        self._added = np.array([self._layer(layer) for layer in range(n_layers)])

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Count those of ``n x P`` architectures: ``n``."""
        kernels, expands = X[:, mobilenetv3.KERNEL], X[:, mobilenetv3.EXPAND]
        added = self._added[np.arange(len(self._added)), kernels, expands]
        return np.asarray(self._base + (added * mobilenetv3.layers(X)).sum(axis=1))

    def _layer(self, layer: int) -> np.ndarray:
        """Count what a layer adds to the smallest network with it or, if optional, without it."""
        stage, place = divmod(layer, mobilenetv3.LAYERS)
        depth = max(0, place + 1 - mobilenetv3.MIN_DEPTH)
        without = self._count(stage, max(0, depth - 1))
        return np.array(
            [
                [self._count(stage, depth, layer, kernel, expand) - without for expand in range(3)]
                for kernel in range(3)
            ]
        )

    def _count(
        self, stage: int = 0, depth: int = 0, layer: int = 0, kernel: int = 0, expand: int = 0
    ) -> float:
        """Count those of the smallest network but for a stage's depth and a layer's choices."""
        row = np.zeros(len(self._space.parameters), dtype=np.int64)
        row[mobilenetv3.DEPTH[stage]] = depth
        row[mobilenetv3.KERNEL[layer]], row[mobilenetv3.EXPAND[layer]] = kernel, expand
        return count_macs(self._space, self._space.decode(row)) / 1e6


@cache
def macs() -> Macs:
    """Give the counter, made once."""
    return Macs()


@cache
def _evolved() -> np.ndarray:
    """Look for the most accurate networks under limits of the cost: ``n x 2``."""
    accuracy, seen = mobilenetv3.predictor(), list[np.ndarray]()
    for seed, limit in enumerate(_LIMITS):

        def score(X: np.ndarray, limit: float = limit) -> np.ndarray:
            found = np.stack([accuracy(X), -macs()(X)], axis=1)
            seen.append(found[non_dominated(found)])
            return found[:, 0] - 100 * np.maximum(0, -found[:, 1] / limit - 1)

        mobilenetv3.evolve(MobileNetV3Space(), score, np.random.default_rng(seed), 300, 60)
    everything = np.concatenate(seen)
    return everything[non_dominated(everything)]
