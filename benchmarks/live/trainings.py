"""Train cells, each once with a seed; what it cost is remembered and charged to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time

from benchmarks.live.parts import Parts
from benchmarks.live.parts import parts_of
from benchmarks.live.store import Record
from benchmarks.live.store import Store
from benchmarks.live.supernet import Cell
from optuna_tnas.demo import cell_training
from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.demo.networks import EDGES
from optuna_tnas.demo.networks import live_edges


@dataclass(frozen=True)
class Trained:
    """A trained cell.

    Attributes:
        validation_loss: In nats, as is ``test_loss``; a search sees this one alone.
        test_accuracy: From 0 to 1.
        cpu_seconds: Of the training and the validation; not of the test.
    """

    validation_loss: float
    test_loss: float
    test_accuracy: float
    cpu_seconds: float


@dataclass(frozen=True)
class Trainings:
    """The trainings on an image set.

    Attributes:
        dataset: Its name.
        recipe: How to train.
        store: Where they are kept.
    """

    dataset: str
    recipe: Recipe
    store: Store

    @property
    def parts(self) -> Parts:
        return parts_of(self.dataset, self.recipe)

    def train(self, cell: Cell, seed: int) -> Trained:
        """Train a cell, or remember how it went."""
        kept = pruned(cell)
        record = self.store.get(key(self.dataset, kept, seed), lambda: self._record(kept, seed))
        return Trained(**{name: record[name] for name in Trained.__dataclass_fields__})

    def _record(self, cell: Cell, seed: int) -> Record:
        trained = train(cell, self.parts, self.recipe, seed)
        return {
            "kind": "training",
            "dataset": self.dataset,
            "cell": list(cell),
            "seed": seed,
            **vars(trained),
        }


def train(cell: Cell, parts: Parts, recipe: Recipe, seed: int) -> Trained:
    """Train a cell's network, then measure it on both other parts."""
    start = process_time()
    data = parts.train
    *_, network = cell_training.train(cell, data.x, data.y, parts.n_classes, recipe, seed)
    validation, _ = cell_training.measure(network, parts.validation.x, parts.validation.y)
    spent = process_time() - start
    test, accuracy = cell_training.measure(network, parts.test.x, parts.test.y)
    return Trained(validation, test, accuracy, spent)


def pruned(cell: Sequence[str]) -> Cell:
    """Replace operations that are on no path by ``none``: the same network."""
    live = live_edges(cell)
    return tuple(op if e in live else "none" for e, op in zip(EDGES, cell, strict=True))


def key(dataset: str, cell: Sequence[str], seed: int) -> tuple[object, ...]:
    """Where a training is kept; the cell is pruned."""
    return "trainings", dataset, "-".join(cell), seed
