"""The records of searches and trainings as outcomes: what a method has at a budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.live.experiment import ANEW
from benchmarks.live.rivals import EPOCHS
from benchmarks.live.store import Record
from benchmarks.live.supernet import Cell
from benchmarks.live.trainings import pruned


BUDGETS = (5, 10, 20, 50)


@dataclass(frozen=True)
class Outcome:
    """What a search has at a budget.

    Attributes:
        cell: The best so far.
        units: Spent, in trainings of a random cell.
        seconds: Of CPU, spent.
        n_cells: Trained.
    """

    cell: Cell
    units: float
    seconds: float
    n_cells: int


class Curve:
    """The best cell of a black-box search over time.

    Args:
        record: The search.
        cells: The best one after each step.
    """

    def __init__(self, record: Record, cells: Sequence[Sequence[str]]) -> None:
        self._seconds = [step["cpu_seconds"] for step in record["steps"]]
        self._unit = record["unit"]
        self._cells = [pruned(cell) for cell in cells]

    def at(self, budget: float) -> Outcome:
        """Stop the search before the first training that ends behind the budget."""
        n = max(1, int(np.searchsorted(self._seconds, budget * self._unit, side="right")))
        seconds = self._seconds[n - 1]
        return Outcome(self._cells[n - 1], seconds / self._unit, seconds, n)

    def changes(self) -> list[tuple[float, Cell]]:
        """List the units at which the best cell changed, and the cell."""
        kept: list[tuple[float, Cell]] = []
        for seconds, cell in zip(self._seconds, self._cells, strict=True):
            if not kept or kept[-1][1] != cell:
                kept.append((seconds / self._unit, cell))
        return kept


class Results:
    """All records, by image set and seed.

    Args:
        records: Of trainings and searches.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._anew: dict[tuple[str, Cell], list[Record]] = defaultdict(list)
        self._random: dict[tuple[str, Cell], list[Record]] = defaultdict(list)
        self.searches: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            if record["kind"] == "search":
                self.searches[record["dataset"], record["seed"]].append(record)
            else:
                kept = self._anew if record["seed"] in ANEW else self._random
                kept[record["dataset"], tuple(record["cell"])].append(record)

    @cached_property
    def outcomes(self) -> dict[tuple[str, int], dict[tuple[str, int], Outcome]]:
        """What each method has at each budget, by image set and seed."""
        return {
            pair: {key: out for record in records for key, out in outcomes_of(record)}
            for pair, records in self.searches.items()
        }

    @cached_property
    def curves(self) -> dict[tuple[str, int], dict[str, Curve]]:
        """The black-box searches by image set, seed and method."""
        return {
            pair: dict(curve for record in records for curve in curves_of(record))
            for pair, records in self.searches.items()
        }

    @cached_property
    def pairs(self) -> list[tuple[str, int]]:
        """The image sets and seeds on which all methods searched."""
        everything = set().union(*map(set, self.outcomes.values()))
        return sorted(
            pair
            for pair, found in self.outcomes.items()
            if set(found) == everything
            and all(self.measured(pair[0], o.cell) for o in found.values())
        )

    def methods_at(self, budget: int) -> list[str]:
        """List the methods that have something at a budget."""
        return [method for method, b in self.outcomes[self.pairs[0]] if b == budget]

    def regrets(self, method: str, budget: int) -> dict[str, list[float]]:
        """List the seeds' regrets at a budget by image set."""
        return self._of_seeds(method, budget, self.regret)

    def accuracies(self, method: str, budget: int) -> dict[str, list[float]]:
        """List the seeds' test accuracies at a budget by image set."""
        return self._of_seeds(method, budget, self.accuracy)

    def _of_seeds(
        self, method: str, budget: int, figure: Callable[[str, Cell], float]
    ) -> dict[str, list[float]]:
        values: dict[str, list[float]] = defaultdict(list)
        for dataset, seed in self.pairs:
            outcome = self.outcomes[dataset, seed][method, budget]
            values[dataset].append(figure(dataset, outcome.cell))
        return values

    def measured(self, dataset: str, cell: Cell) -> bool:
        """Tell whether a cell was trained anew with all seeds."""
        return len(self._anew.get((dataset, cell), [])) == len(ANEW)

    def loss(self, dataset: str, cell: Cell) -> float:
        """Average the test log loss of a cell trained anew."""
        return _mean(self._anew[dataset, cell], "test_loss")

    def accuracy(self, dataset: str, cell: Cell) -> float:
        """Average the test accuracy of a cell trained anew."""
        return _mean(self._anew[dataset, cell], "test_accuracy")

    def regret(self, dataset: str, cell: Cell) -> float:
        """Compare a cell with the best and the median one."""
        best, median = self._scale[dataset]
        return (self.loss(dataset, cell) - best) / (median - best)

    @cached_property
    def _scale(self) -> dict[str, tuple[float, float]]:
        """The best and the median test loss of each image set."""
        scale = {}
        for dataset in {dataset for dataset, _ in self.searches}:
            random = _means_of(self._reference(dataset))
            anew = _means_of({c: r for (d, c), r in self._anew.items() if d == dataset})
            scale[dataset] = (min([*random, *anew]), float(np.median(random)))
        return scale

    def _reference(self, dataset: str) -> Mapping[Cell, list[Record]]:
        cells = {
            pruned(step["cell"])
            for (d, _), records in self.searches.items()
            for record in records
            for step in record.get("steps", [])
            if d == dataset and record["method"] == "random"
        }
        return {cell: self._random[dataset, cell] for cell in cells}


def _means_of(records: Mapping[Cell, Sequence[Record]]) -> list[float]:
    return [_mean(found, "test_loss") for found in records.values()]


def _mean(records: Sequence[Record], name: str) -> float:
    return float(np.mean([record[name] for record in records]))


def outcomes_of(record: Record) -> Iterable[tuple[tuple[str, int], Outcome]]:
    """Yield what a search has, by method and budget."""
    method = record["method"]
    if "steps" in record:
        for name, curve in curves_of(record):
            yield from (((name, budget), curve.at(budget)) for budget in BUDGETS)
        return
    budgets = {epochs: budget for budget, epochs in EPOCHS[method].items()}
    if record["epochs"] not in budgets:
        return  # of the published length: not at a budget
    for name, i in ((method, 0), (f"{method}:no_none", 1)):
        seconds = record["cpu_seconds"][i]
        units = seconds / record["unit"]
        cell = pruned(record["cells"][i])
        yield (name, budgets[record["epochs"]]), Outcome(cell, units, seconds, 1)


def curves_of(record: Record) -> Iterable[tuple[str, Curve]]:
    """Yield a black-box search's curve, and that of what the sampler recommends."""
    if "steps" not in record:
        return
    method, steps = record["method"], record["steps"]
    yield method, Curve(record, incumbents(steps))
    if method.startswith("tnas"):
        yield f"{method}:recommended", Curve(record, [step["recommended"] for step in steps])


def incumbents(steps: Sequence[Record]) -> list[Cell]:
    """List the cell with the best validation loss so far, after each step."""
    losses = np.array([step["validation_loss"] for step in steps])
    return [steps[int(losses[: i + 1].argmin())]["cell"] for i in range(len(steps))]
