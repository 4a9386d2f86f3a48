"""The next architecture of a study, from what the study holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
import logging
from typing import Any

import numpy as np
import torch

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.acquisition import AcquisitionName
from optuna_tnas.search.acquisition import PriorMean
from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.feasible import draw
from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.fixed import with_fixed
from optuna_tnas.search.hypervolume import HypervolumeImprovement
from optuna_tnas.search.measured import fit_constraints
from optuna_tnas.search.objectives import cheap_objective
from optuna_tnas.search.objectives import fit_objectives
from optuna_tnas.search.objectives import KnownObjective
from optuna_tnas.search.objectives import Objective
from optuna_tnas.search.search import Search
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.spaces.rows import best
from optuna_tnas.spaces.rows import without
from optuna_tnas.studies.trials import Metric
from optuna_tnas.studies.trials import Observations
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.outcomes import unit_of
from optuna_tnas.surrogate.start import start_size


_logger = logging.getLogger(__name__)

_FIRST = (
    "The past studies' objective or the study's have no name, so that the past is taken to be of "
    "the first objective. Name them with study.set_metric_names."
)
_NO_OBJECTIVE = (
    "The past studies are of %r, which is none of the study's objectives %s: the search starts "
    "without a past. Name the objective they help so with study.set_metric_names."
)
_CONTRADICTED = (
    "The cheap objective %r is %g for an architecture whose trial reports %g. It is the function "
    "that the search believes."
)

_N_BEST = 16  # trials that an evolutionary search starts from
# Running trials that a suggestion is scored jointly with, the latest ones. Time and memory grow
# with the square of their number, and trials that died may be RUNNING for ever.
_MAX_PENDING = 32
_N_RANDOM = 256  # architectures that tell what values of several objectives are common
_MAX_TRIALS, _N_CORE, _STEP = 256, 192, 64  # see :func:`informative`


class Suggester:
    """Suggests architectures of one space for one data set.

    Args:
        surrogate: The meta-learned or untrained surrogate.
        dataset: The data set that is searched on, if known.
        acquisition: ``"qei"``, ``"qlogei"`` or ``"ucb"``.
        constraints: Limits that are known before training; none unless given.
        cheap: Objectives that are known without training; none unless given.
    """

    def __init__(
        self,
        surrogate: MetaSurrogate,
        dataset: DatasetSample | None,
        acquisition: AcquisitionName = "qei",
        constraints: KnownConstraints | None = None,
        cheap: CheapObjectives | None = None,
    ) -> None:
        self.surrogate = surrogate
        self._dataset = dataset
        self.acquisition: AcquisitionName = acquisition
        self.constraints = constraints or KnownConstraints(surrogate.space)
        self.cheap = cheap or CheapObjectives(surrogate.space)
        self._searches: dict[str, Search] = {}
        self._told: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the searches out, which are computed anew."""
        return {**vars(self), "_searches": {}}

    def _search(self, space: SearchSpace) -> Search:
        """Return the search of a space; in a listed one all candidates are encoded here."""
        key = space.named_fingerprint
        if key not in self._searches:
            self._searches = {key: self._new_search(space)}
        return self._searches[key]

    def _new_search(self, space: SearchSpace) -> Search:
        if isinstance(space, JointSpace):
            model = self.surrogate.joint_model(self._dataset, space)
            return EvolutionarySearch(space, model, self.constraints, self.cheap)
        search = ExhaustiveSearch if space.enumerable else EvolutionarySearch
        model = self.surrogate.study_model(self._dataset)
        return search(space, model, self.constraints, self.cheap)

    def suggest(
        self,
        study: Observations,
        fixed: Fixed,
        rng: np.random.Generator,
        space: SearchSpace | None = None,
    ) -> np.ndarray:
        """Suggest the next row of a space.

        The first one is the best by the past studies' prediction. If they disagree on what is
        good, architectures that cover them follow, from the warm-start set. Without a past, the
        first few come from that set, or at random without one. The others maximize the
        acquisition function of the GPs on the study's trials. All of them meet the known
        constraints, unless the fixed choices leave no architecture open.

        Args:
            study: The study's trials so far.
            fixed: Choices that are made already.
            rng: Generator of all randomness of this suggestion.
            space: The surrogate's space joined with hyper-parameters, if there are some.

        Raises:
            ConstraintError: If no feasible architecture that agrees with ``fixed`` is found.
        """
        space = space or self.surrogate.space
        begun = len(study.X) + len(study.pending)
        if len(study.X) == 0 or begun < self.surrogate.config.n_warm_start:
            known = self._known(space, rng)
            predicted = self._predicted_front(space, study)
            if predicted is not None:
                search = self._search(space)
                return search.maximize(predicted, known, study.avoided, fixed, rng)
            unused = self._unused(space, known, study, fixed)
            if self._is_beginning(study, len(unused)):
                return unused[0] if len(unused) else self._random(space, study, fixed, rng)
            if len(study.X) == 0:
                search = self._search(space)
                ranking = PriorMean(search.prior_mean)
                return search.maximize(ranking, known, study.avoided, fixed, rng)
        search = self._search(space)
        start = best(study.X, study.merit, _N_BEST)
        acquisition = self._acquire(search, space, study, int(rng.integers(1 << 30)))
        return search.maximize(acquisition, start, study.avoided, fixed, rng)

    def beside(self, row: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        """Choose the hyper-parameters that the past studies predict to be best.

        Args:
            row: ``P``, an architecture.
            rng: Generator of the candidates.

        Returns:
            Values by name of all hyper-parameters that the past studies had, at least one.
        """
        known = self.surrogate.past_hyperparameters
        space = JointSpace(self.surrogate.space, known)
        search, fixed = self._search(space), dict(enumerate(row.tolist()))
        start = with_fixed(space, self._known(space, rng), fixed)
        ranking = PriorMean(search.prior_mean)
        best_row = search.maximize(ranking, start, start[:0], fixed, rng)
        return known.decode(space.split(best_row[None])[1][0])

    def predict(
        self, study: Observations, rows: np.ndarray, space: SearchSpace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict the values of rows of a space, after a study's trials.

        Args:
            study: The study's trials, at least one of them with a value.
            rows: ``n`` rows.
            space: The surrogate's space, joined with hyper-parameters if there are some.

        Returns:
            Means, higher is better, and standard deviations, without noise: ``n`` each, or
            ``n x M`` of M objectives.
        """
        search = self._search(space)
        if study.metrics:
            return self._predict_all(search, study, rows)
        mixture, _ = self._fit(search, study)
        with torch.no_grad():
            mean, variance = mixture.moments(search.inputs(rows))
        center, unit = unit_of(study.y)
        return center + unit * mean.numpy(), unit * variance.sqrt().numpy()

    @torch.no_grad()
    def _predict_all(
        self, search: Search, study: Observations, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        kept, x = informative(study.merit), search.inputs(rows)
        objectives = fit_objectives(search, study, kept, self.helped(study.metrics))
        mean, deviation = np.empty((2, len(rows), len(objectives)))
        for j, (metric, objective) in enumerate(zip(study.metrics, objectives, strict=True)):
            if metric.name in search.cheap_names:
                mean[:, j], deviation[:, j] = metric.sign * search.cheap(metric.name, x), 0.0
                continue
            belief, (center, unit) = objective.belief(x), unit_of(study.y[:, j])
            mean[:, j] = center + unit * belief.mean.numpy()
            deviation[:, j] = unit * belief.variance.sqrt().numpy()
        return mean, deviation

    def _known(self, space: SearchSpace, rng: np.random.Generator) -> np.ndarray:
        """Return rows that are worth beginning with, best first.

        Beside hyper-parameters these are past trials, or else the warm-start architectures with
        random ones.
        """
        known = self.surrogate.warm_start
        if not isinstance(space, JointSpace):
            return known
        past = self.surrogate.past_rows(space)
        if len(past) > 0:
            predicted = self._search(space).prior_mean(self._search(space).inputs(past))
            return best(past, predicted.numpy(), len(known))
        return np.concatenate([known, space.hyperparameters.sample(len(known), rng)], axis=1)

    def _is_beginning(self, study: Observations, n_unused: int) -> bool:
        """Decide whether the architecture comes from the warm-start set.

        Workers that start together take different members of it: the prior mean alone would give
        them near-duplicates.
        """
        begun = len(study.X) + len(study.pending)
        if not self._past_helps(study):
            return len(study.X) == 0 or begun < self.surrogate.config.n_warm_start
        return begun > 0 and (len(study.X) == 0 or (begun < self._n_start and n_unused > 0))

    @cached_property
    def _n_start(self) -> int:
        """Trials before the GP takes over, where there is a past."""
        surrogate = self.surrogate
        if surrogate.predictor is None or len(surrogate.warm_start) == 0:
            return 1
        size = start_size(surrogate.predictor(surrogate.warm_start))
        return min(size, surrogate.config.n_warm_start)

    def _past_helps(self, study: Observations) -> bool:
        """Tell whether past studies predict an objective of the study."""
        past = self.surrogate.past is not None
        return past and (not study.metrics or self.helped(study.metrics) is not None)

    def helped(self, metrics: Sequence[Metric]) -> int | None:
        """Find the one of several objectives that the past studies predict; None if there is none.

        It is the one of the same name. If the past or the study has no names: the first one.
        """
        if self.surrogate.past is None:
            return None
        names, metric = [m.name for m in metrics], self.surrogate.metric
        if metric is None or names[0] is None:
            self._tell(logging.INFO, _FIRST)
            return 0
        if metric not in names:
            self._tell(logging.WARNING, _NO_OBJECTIVE, metric, names)
            return None
        return names.index(metric)

    def _tell(self, level: int, message: str, *values: object) -> None:
        """Log something once."""
        if message not in self._told:
            self._told.add(message)
            _logger.log(level, message, *values)

    def _predicted_front(
        self, space: SearchSpace, study: Observations
    ) -> HypervolumeImprovement | None:
        """Rank by what an architecture adds to the predicted front of those begun.

        None unless every one of several objectives is predicted, by the past or because it is
        cheap.
        """
        if not study.metrics or self.helped(study.metrics) is None:
            return None
        search, objectives = self._search(space), list[Objective]()
        for j, metric in enumerate(study.metrics):
            if metric.name in search.cheap_names:
                objectives.append(cheap_objective(search, metric))
            elif j == self.helped(study.metrics):
                objectives.append(KnownObjective(search.prior_mean))
        if len(objectives) < len(study.metrics):
            return None
        begun = search.inputs(np.concatenate([study.X, study.pending]))
        random = search.inputs(space.sample(_N_RANDOM, np.random.default_rng(0)))
        return HypervolumeImprovement(objectives, begun, begun[:0], random, 0)

    def _acquire(
        self, search: Search, space: SearchSpace, study: Observations, seed: int
    ) -> Ranking:
        """Fit the GPs to the study's trials and build their acquisition function."""
        pending = search.inputs(study.pending[-_MAX_PENDING:])
        if study.metrics:
            self._compare(study)
            kept = informative(study.merit)
            objectives = fit_objectives(search, study, kept, self.helped(study.metrics))
            limits = fit_constraints(search, study, kept)
            trials = search.inputs(study.X[kept])
            random = search.inputs(space.sample(_N_RANDOM, np.random.default_rng(seed)))
            return HypervolumeImprovement(objectives, trials, pending, random, seed, limits)
        mixture, kept = self._fit(search, study)
        limits = fit_constraints(search, study, kept)
        return Acquisition(self.acquisition, mixture, pending, seed, limits)

    def _compare(self, study: Observations) -> None:
        """Warn where trials report something else than a cheap objective says."""
        names = [metric.name for metric in study.metrics]
        for name, said in zip(self.cheap.names, self.cheap.values(study.X).T, strict=True):
            j = names.index(name)
            reported = study.metrics[j].sign * study.y[:, j]
            for i in np.flatnonzero(~np.isclose(said, reported, rtol=1e-3))[:1]:
                self._tell(logging.WARNING, _CONTRADICTED, name, said[i], reported[i])

    def _fit(self, search: Search, study: Observations) -> tuple[Mixture, np.ndarray]:
        """Fit the objective's GPs; also return the positions of the trials that they are on."""
        kept = informative(study.merit)
        y = torch.from_numpy(scale_labels(study.y)[kept])
        return search.fit(study.X[kept], y), kept

    def _unused(
        self, space: SearchSpace, known: np.ndarray, study: Observations, fixed: Fixed
    ) -> np.ndarray:
        """Find the warm-start rows that are allowed and new."""
        if self._past_helps(study):  # the best by its prediction stands for the first
            known = np.roll(known, -1, axis=0)
        elif self.surrogate.past is not None:  # they are good by what is no objective here
            known = known[:0]
        known = known[agrees(space, known, fixed)]
        return without(known[self.constraints.under(fixed).feasible(known)], study.avoided)

    def _random(
        self, space: SearchSpace, study: Observations, fixed: Fixed, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw a random row that is feasible, a new one if there is any among 256."""
        constraints, known = self.constraints.under(fixed), study.avoided
        drawn = draw(space, constraints, 256, known, known, fixed, rng)
        new = without(drawn, study.avoided)
        return np.asarray((new if len(new) else drawn)[0])


def informative(merit: np.ndarray) -> np.ndarray:
    """Choose the trials that the GP is conditioned on, so that its cost stays bounded.

    All of up to 256. Of more, the best 96 and the 96 latest of the first ``k`` trials, ``k``
    growing in steps of 64, and the up to 64 trials since: so that from one suggestion to the
    next little changes.

    Args:
        merit: ``n`` values, higher is better.

    Returns:
        Positions in the order in which the GP is to see them.
    """
    n = len(merit)
    if n <= _MAX_TRIALS:
        return np.arange(n)
    n_old = (n - 1) // _STEP * _STEP
    highest = best(np.arange(n_old), merit[:n_old], _N_CORE // 2)
    latest = np.setdiff1d(np.arange(n_old), highest)[-_N_CORE // 2 :]
    return np.concatenate([np.sort(np.concatenate([highest, latest])), np.arange(n_old, n)])
