"""Read the searches of record files into arrays, one :class:`Results` a kind of past."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import NamedTuple

import numpy as np

from benchmarks.past_settings import PastSetting
from benchmarks.report.statistics import known_mean
from benchmarks.run import Record
from benchmarks.tasks import TableError


class SearchedTask(NamedTuple):
    """The task that is searched on."""

    space: str
    name: str

    def __str__(self) -> str:
        return f"{self.space} {self.name}"


@dataclass(frozen=True)
class Results:
    """Searches with one kind of past; what is missing is NaN.

    Attributes:
        methods: Names, the arrays' first axis.
        targets: The second axis, sorted by space.
        optimum: Best searched value, by target.
        regret: Methods x targets x seeds x evaluations, as are those that follow.
        best: The best value that the search has seen so far.
        true: The true value of the network that had it.
        network: Different networks have different numbers.
        seconds: What the sampler took.
    """

    past: PastSetting
    methods: tuple[str, ...]
    targets: tuple[SearchedTask, ...]
    optimum: np.ndarray
    regret: np.ndarray
    best: np.ndarray
    true: np.ndarray
    network: np.ndarray
    seconds: np.ndarray

    @property
    def spaces(self) -> list[str]:
        """Names of the families."""
        return list(dict.fromkeys(target.space for target in self.targets))

    @property
    def scopes(self) -> dict[str, list[SearchedTask]]:
        """All targets, if there are several families, and each family's."""
        families = {s: [t for t in self.targets if t.space == s] for s in self.spaces}
        over_all = {"over all families": list(self.targets)} if len(families) > 1 else {}
        return over_all | families

    @property
    def weights(self) -> np.ndarray:
        """Weights by target: a weighted sum is the mean over families of their tasks' means."""
        spaces = [target.space for target in self.targets]
        return np.array([1 / spaces.count(space) / len(self.spaces) for space in spaces])

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Average over seeds, tasks, families: methods x targets x seeds x K -> methods x K."""
        mean: np.ndarray = np.einsum("mtk,t->mk", known_mean(x, axis=2), self.weights)
        return mean

    @property
    def searched(self) -> np.ndarray:
        """Methods x targets x seeds: the searches there are."""
        searched: np.ndarray = np.isfinite(self.regret).any(axis=-1)
        return searched

    def on(self, targets: Sequence[SearchedTask]) -> Results:
        """Select these targets, methods that searched on all of them, and reached evaluations."""
        ts = np.array([self.targets.index(target) for target in targets])
        ms = np.flatnonzero(np.all(self.searched[:, ts].any(axis=2), axis=1))
        part = np.ix_(ms, ts)
        reached: np.ndarray = np.isfinite(self.regret[part]).any(axis=2)  # by a seed
        longest = reached.all(axis=1).any(axis=0).sum()
        arrays = (self.regret, self.best, self.true, self.network, self.seconds)
        return Results(
            self.past,
            tuple(self.methods[m] for m in ms),
            tuple(targets),
            self.optimum[ts],
            *(x[part][..., :longest] for x in arrays),
        )


def all_results(records: Iterable[Record]) -> list[Results]:
    """Group the searches by their past.

    Raises:
        TableError: If searches on one target are of different tables.
    """
    groups: dict[PastSetting, list[Record]] = {}
    for record in records:
        past = PastSetting(*(record[name] for name in ("history", "history_by", "past", "spoil")))
        groups.setdefault(past, []).append(record)
    return [_results(past, groups[past]) for past in sorted(groups, key=str)]


def _results(past: PastSetting, records: Sequence[Record]) -> Results:
    """Fill the arrays; of a search that is there twice, the later record counts."""
    methods = [r["method"] for r in records]
    targets = [SearchedTask(r["space"], r["target"]) for r in records]
    axes = [methods, targets, [r["seed"] for r in records]]
    labels, cells = zip(*map(_positions, axes), strict=True)
    trials = np.array([r["trial"] for r in records])
    shape = (*map(len, labels), trials.max() + 1)

    def filled(column: Iterable[float | None]) -> np.ndarray:
        array = np.full(shape, np.nan)
        array[(*cells, trials)] = np.array(list(column), dtype=float)
        return array

    return Results(
        past,
        tuple(labels[0]),
        tuple(labels[1]),
        _optimum(records, labels[1], cells[1]),
        filled(r["regret"] for r in records),
        filled(r["best_value"] for r in records),
        filled(r["best_true"] for r in records),
        filled(_positions([r["network"] for r in records])[1]),
        filled(r["seconds"] for r in records),
    )


def _positions(labels: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """Return the different labels, sorted, and the position of each label among them."""
    different = sorted(set(labels), key=str)
    position = {label: i for i, label in enumerate(different)}
    return different, np.array([position[label] for label in labels])


def _optimum(
    records: Sequence[Record], targets: Sequence[SearchedTask], at: np.ndarray
) -> np.ndarray:
    optima = np.array([r["optimum"] for r in records], dtype=float)
    optimum = np.full(len(targets), np.nan)
    optimum[at] = optima
    if not np.array_equal(optimum[at], optima, equal_nan=True):
        differs = targets[at[np.argmax(optimum[at] != optima)]]
        raise TableError(
            f"The searches on {differs} are of different tables: their optima differ."
        )
    return optimum
