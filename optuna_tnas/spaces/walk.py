"""Find a function's parameters and architectures by running it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any

from optuna.trial import BaseTrial

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import returned
from optuna_tnas.spaces.declaration import Choice
from optuna_tnas.spaces.declaration import refuse_repeats
from optuna_tnas.spaces.recording import Answer
from optuna_tnas.spaces.recording import check_same
from optuna_tnas.spaces.recording import Choices
from optuna_tnas.spaces.recording import RecordingTrial


Build = Callable[[BaseTrial], Any]
Path = dict[str, int]  # choice positions, in the order in which they are asked for

_N_REPEATED = 16  # runs that are done twice, to see whether they give the same


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Attributes:
        path: The choices that were made.
        graph: The architecture.
    """

    path: Path
    graph: returned.Sorted


def run(build: Build, answer: Answer) -> tuple[dict[str, Any], Any]:
    """Run ``build``; return the values that it was given, and what it returned.

    Raises:
        SpaceError: If it fails; of its own, or by what it asks for.
    """
    trial = RecordingTrial(answer)
    try:
        result = build(trial)
    except SpaceError as error:
        raise SpaceError(f"{name_of(build)} with {trial.params}: {error}") from error
    except Exception as error:
        raise SpaceError(
            f"{name_of(build)} fails with {trial.params}: {type(error).__name__}: {error}. It "
            "must give an architecture for all choices; offer only those that fit together."
        ) from error
    return trial.params, result


def name_of(build: Build) -> str:
    """Name a function as ``module:attribute``."""
    name = getattr(build, "__qualname__", type(build).__qualname__)
    return f"{getattr(build, '__module__', None)}:{name}"


class Walk:
    """Finds the parameters, and all architectures if they are few.

    Every choice of every parameter is made at least once: a parameter's choices are tried on the
    path on which it was met first. Parameters that only several choices together ask for are
    met at random.

    Args:
        build: The function.
        n_runs: Runs at random.

    Attributes:
        choices: The choices of each parameter, in the order in which they were met.
        labels: Every operation met.
        max_vertices: Of a graph, input and output included.
        size: The number of architectures, estimated from the random runs (Knuth, "Estimating
            the efficiency of backtrack programs", Mathematics of Computation 1975).
    """

    def __init__(self, build: Build, n_runs: int) -> None:
        self._build = build
        # Its random() is the same in every version of Python; numpy's generators are not.
        self._random = Random(0)
        self.choices: dict[str, Choices] = {}
        self.labels: set[Choice] = set()
        self.max_vertices = 0
        self._untried: dict[str, set[int]] = {}
        self._before: dict[str, Path] = {}  # choices on the way to where a parameter was met
        self._n_done = 0
        self.size = self._explore(n_runs)

    def _explore(self, n_runs: int) -> int:
        self._cover()
        leaves = 0
        for _ in range(n_runs):
            path = self.run({}).path
            leaves += prod(len(self.choices[name]) for name in path)
            self._cover()
        return leaves // max(n_runs, 1)

    def _cover(self) -> None:
        """Make every choice that was not made yet."""
        while self._untried:
            name = next(iter(self._untried))
            n_untried = len(self._untried[name])
            path = self.run(self._before[name]).path
            if len(self._untried.get(name, ())) == n_untried:
                raise self._not_deterministic(path)

    def run(self, given: Path) -> Run:
        """Run with the given choices; the others are untried ones first, then random ones."""
        done = self._run(given)
        self._n_done += 1
        if self._n_done <= _N_REPEATED:
            self._check_again(done)
        return done

    def _run(self, given: Mapping[str, int]) -> Run:
        path: Path = {}

        def answer(name: str, choices: Choices) -> Any:
            self._meet(name, choices, path)
            path[name] = given[name] if name in given else self._chosen(name)
            self._tried(name, path[name])
            return choices[path[name]]

        params, result = run(self._build, answer)
        try:
            graph = returned.to_sorted(result, params)
        except SpaceError as error:
            raise SpaceError(f"{name_of(self._build)} with {params}: {error}") from error
        self.labels.update(graph.labels)
        self.max_vertices = max(self.max_vertices, len(graph.labels))
        return Run(path, graph)

    def _meet(self, name: str, choices: Choices, path: Path) -> None:
        if name in self.choices:
            check_same(name, choices, self.choices[name])
            return
        if len(choices) == 0:
            raise SpaceError(f"The parameter {name!r} has no choices; give it at least one.")
        if isinstance(choices, tuple):
            refuse_repeats(f"choice of {name!r},", choices)
        self.choices[name] = choices
        self._untried[name] = set(range(len(choices)))
        self._before[name] = dict(path)

    def _chosen(self, name: str) -> int:
        if name in self._untried:
            return min(self._untried[name])
        return int(self._random.random() * len(self.choices[name]))

    def _tried(self, name: str, choice: int) -> None:
        if name in self._untried:
            self._untried[name].discard(choice)
            if not self._untried[name]:
                del self._untried[name]

    def _check_again(self, done: Run) -> None:
        again = self._run(done.path)
        if list(again.path.items()) != list(done.path.items()) or again.graph != done.graph:
            raise self._not_deterministic(done.path)

    def _not_deterministic(self, path: Path) -> SpaceError:
        values = {name: self.choices[name][position] for name, position in path.items()}
        return SpaceError(
            f"{name_of(self._build)} gives another architecture for the same choices, {values}; "
            "take every decision from the trial, none from chance, time or what earlier calls "
            "left."
        )

    def leaves(self, at_most: int) -> list[Run] | None:
        """Run every combination of choices; None if there are more than ``at_most``."""
        runs: list[Run] = []
        given: Path | None = {}
        while given is not None:
            if len(runs) == at_most:
                return None
            runs.append(self._run(_Zeros(given)))
            given = self._next(runs[-1].path)
        return runs

    def _next(self, path: Path) -> Path | None:
        """Advance the last choice that can be; None after the last path."""
        names = list(path)
        while names and path[names[-1]] == len(self.choices[names[-1]]) - 1:
            names.pop()
        if not names:
            return None
        following = {name: path[name] for name in names}
        following[names[-1]] += 1
        return following


class _Zeros(dict[str, int]):
    """Choices of which those that are missing are the first ones."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> int:
        return 0
