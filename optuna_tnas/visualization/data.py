"""What the plots show, as arrays: the same for plotly and matplotlib."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import networkx as nx
import numpy as np
from optuna.logging import get_logger
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.errors import StudyError
from optuna_tnas.sampler import TNASSampler
from optuna_tnas.search.explanation import MEAN
from optuna_tnas.search.explanation import STD
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import INPUT
from optuna_tnas.spaces.declaration import OUTPUT
from optuna_tnas.spaces.graphs import prune
from optuna_tnas.studies.choices import encoded
from optuna_tnas.studies.fronts import non_dominated
from optuna_tnas.studies.values import signs_of
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.visualization.layout import Layout
from optuna_tnas.visualization.layout import layout


_logger = get_logger(f"optuna.{__name__}")

_MAX_SOURCES = 8  # past studies with an area of their own
_MAX_POINTS = 30  # trials whose sources are computed: each takes a fit
_MAX_OPERATIONS = 20
_N_RANDOM = 1000  # architectures whose predictions are drawn
OTHERS, NO_PAST = "other past studies", "the past says nothing"


# --- one architecture -----------------------------------------------------------------------


@dataclass(frozen=True)
class Architecture:
    """An architecture's operations, laid out.

    Attributes:
        layout: Places and paths.
        labels: Each operation's label.
        colors: Each label's number, the same for all architectures of the space.
        alive: Operations on a path from the input to the output.
    """

    layout: Layout
    labels: Mapping[Hashable, str]
    colors: Mapping[Hashable, int]
    alive: frozenset[Hashable]

    @classmethod
    def of(cls, space: Space, params: Mapping[str, Any]) -> Architecture:
        """Lay out the architecture of a trial's parameters."""
        graph = space.to_graph(params)
        ops = dict(graph.nodes(data="op"))
        alive = prune(graph, space.zero)
        return cls(
            layout(graph),
            {v: str(op) for v, op in ops.items()},
            {v: space.vocabulary.get(op, 0) for v, op in ops.items()},
            frozenset(alive),
        )

    def is_alive(self, *vertices: Hashable) -> bool:
        """Whether all of these operations count for the network's result."""
        return self.alive.issuperset(vertices)


# --- a study --------------------------------------------------------------------------------


def completed(study: Study, space: Space) -> list[FrozenTrial]:
    """List the completed trials with an architecture of the space; warn if there are none."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    found = [trial for trial in trials if encoded(trial.params, space) is not None]
    if not found:
        _logger.warning(
            "The study %r has no completed trial with the parameters %s, so there is nothing to "
            "plot.",
            study.study_name,
            list(space.distributions()),
        )
    return found


@dataclass(frozen=True)
class Sources:
    """How much the past studies count over a study's trials.

    Attributes:
        numbers: ``n`` trials.
        shares: ``n`` weights by name: of the past studies, the most relevant first, then of all
            others together, and the probability that the past says nothing. They sum to 1.
        past_weight: ``n``, the weight of their prediction; NaN before it is known.
    """

    numbers: Sequence[int]
    shares: Mapping[str, np.ndarray]
    past_weight: np.ndarray

    @classmethod
    def of(cls, study: Study, sampler: TNASSampler) -> Sources:
        """Explain up to 30 of the completed trials, evenly spread."""
        trials = completed(study, sampler.space)
        spread = np.linspace(0, len(trials) - 1, min(len(trials), _MAX_POINTS)).astype(int)
        found = [sampler.explain(study, trials[i]) for i in np.unique(spread)]
        weights = [np.nan if e.past_weight is None else e.past_weight for e in found]
        return cls(
            [e.number for e in found],
            _shares([e.sources for e in found], np.array([e.no_past for e in found])),
            np.array(weights),
        )


def _shares(sources: Sequence[Mapping[str, float]], no_past: np.ndarray) -> dict[str, np.ndarray]:
    names = sorted(sources[0], key=sources[0].__getitem__, reverse=True) if sources else []
    rows = {name: np.array([one[name] for one in sources]) for name in names}
    shares = {name: rows[name] for name in names[:_MAX_SOURCES]}
    if len(names) > _MAX_SOURCES:
        shares[OTHERS] = np.sum([rows[name] for name in names[_MAX_SOURCES:]], axis=0)
    return {**shares, NO_PAST: no_past}


@dataclass(frozen=True)
class Predictions:
    """What was expected of trials before they had a value, and their values.

    Attributes:
        numbers: ``n`` trials.
        mean: ``n`` posterior means.
        std: ``n`` posterior standard deviations.
        values: ``n`` objective values.
    """

    numbers: Sequence[int]
    mean: np.ndarray
    std: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, study: Study, sampler: TNASSampler) -> Predictions:
        """Read what was written with the trials; compute it from those before where it is not."""
        rows = []
        for trial in completed(study, sampler.space):
            expected = _written(trial) or _computed(study, trial, sampler)
            if expected is not None and isfinite(trial.value or 0):
                rows.append((trial.number, *expected, trial.value))
        numbers, mean, std, values = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(numbers, np.array(mean), np.array(std), np.array(values))

    @property
    def covered(self) -> float:
        """Share of the values within two standard deviations of what was expected."""
        return float(np.mean(np.abs(self.values - self.mean) <= 2 * self.std))

    @property
    def title(self) -> str:
        """What is drawn, and how many values were about as expected."""
        title = "Expected and measured values"
        if len(self.values) == 0:
            return title
        return f"{title}: {self.covered:.0%} of {len(self.values)} within two deviations"


def _written(trial: FrozenTrial) -> tuple[float, float] | None:
    mean, std = trial.user_attrs.get(MEAN), trial.user_attrs.get(STD)
    if not isinstance(mean, float) or not isinstance(std, float):
        return None
    return (mean, std) if isfinite(mean) and isfinite(std) else None


def _computed(
    study: Study, trial: FrozenTrial, sampler: TNASSampler
) -> tuple[float, float] | None:
    expected = sampler.explain(study, trial)
    if expected.mean is None or expected.std is None:
        return None
    return expected.mean, expected.std


@dataclass(frozen=True)
class Fronts:
    """Trials with two objectives, and what the past studies predict of them.

    Attributes:
        names: Of both objectives.
        numbers: ``n`` trials.
        values: ``n x 2``, as measured.
        predicted: ``n x 2``, in standard deviations; NaN where the past knows nothing.
        random: ``r x 2`` predictions of random architectures.
        signs: Factors of both that make higher values better.
    """

    names: Sequence[str]
    numbers: Sequence[int]
    values: np.ndarray
    predicted: np.ndarray
    random: np.ndarray
    signs: np.ndarray

    @classmethod
    def of(cls, study: Study, sampler: TNASSampler) -> Fronts:
        """Read the completed trials with finite values, and predict them from the past.

        Raises:
            StudyError: If the study has not two objectives.
        """
        if len(study.directions) != 2:
            raise StudyError(
                f"The study has {len(study.directions)} objectives; the plot is of studies with 2."
            )
        space = sampler.space
        trials = [t for t in completed(study, space) if np.isfinite(t.values).all()]
        rows = space.sample(_N_RANDOM, np.random.default_rng(0))
        drawn = sampler.predict_from_past(study, [space.decode(row) for row in rows])
        return cls(
            study.metric_names or ["Objective 0", "Objective 1"],
            [trial.number for trial in trials],
            np.array([trial.values for trial in trials]).reshape(-1, 2),
            sampler.predict_from_past(study, [trial.params for trial in trials]),
            drawn,
            signs_of(study),
        )

    def front(self, values: np.ndarray) -> np.ndarray:
        """Take the points that no other is better than, from left to right: ``m x 2``."""
        known = values[np.isfinite(values).all(axis=1)]
        front = known[non_dominated(self.signs * known)]
        return np.asarray(front[np.argsort(front[:, 0])])


@dataclass(frozen=True)
class Operations:
    """How many of each operation the trials' networks have.

    Attributes:
        counts: ``n`` int64 by operation; only those whose number differs between the trials, at
            most the 20 that differ most.
        values: ``n`` objective values.
    """

    counts: Mapping[str, np.ndarray]
    values: np.ndarray

    @classmethod
    def of(cls, study: Study, space: Space) -> Operations:
        """Count in the completed trials, without operations that the result does not depend on."""
        trials = completed(study, space)
        each = [_counted(prune(space.to_graph(t.params), space.zero)) for t in trials]
        names = sorted(set().union(*each))
        columns = {name: np.array([one[name] for one in each]) for name in names}
        differ = {name: float(column.std()) for name, column in columns.items()}
        kept = sorted(differ, key=differ.__getitem__, reverse=True)[:_MAX_OPERATIONS]
        values = np.array([trial.value for trial in trials], dtype=np.float64)
        return cls(
            {name: columns[name] for name in names if name in kept and differ[name]}, values
        )


def _counted(graph: nx.DiGraph) -> Counter[str]:
    return Counter(str(op) for _, op in graph.nodes(data="op") if op not in (INPUT, OUTPUT))


# --- data sets ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Similarities:
    """How alike the data sets are to the deep kernel.

    Attributes:
        rows: Names of ``m`` data sets: the past studies', and the one searched on if known.
        columns: Names of the ``Q`` past studies.
        values: ``m x Q`` correlations.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: np.ndarray

    @classmethod
    def of(cls, source: TNASSampler | MetaSurrogate) -> Similarities:
        """Compare the past studies of a sampler or of a checkpoint."""
        if isinstance(source, TNASSampler):
            surrogate, dataset = source.surrogate, source.dataset
        else:
            surrogate, dataset = source, None
        names = surrogate.past_names
        if surrogate.predictor is None:
            _logger.warning("There are no past studies whose data sets could be compared.")
            return cls((), (), np.empty((0, 0)))
        target = () if dataset is None else ("this search",)
        return cls((*names, *target), names, surrogate.predictor.similarities(dataset).numpy())
