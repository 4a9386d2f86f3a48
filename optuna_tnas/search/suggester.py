"""The next architecture of a study, from what the study holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from functools import partial
from itertools import compress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.acquisition import AcquisitionName
from optuna_tnas.search.acquisition import PriorMean
from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.explanation import Belief
from optuna_tnas.search.explanation import Phase
from optuna_tnas.search.feasible import draw
from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.fixed import with_fixed
from optuna_tnas.search.helped import HelpedMetrics
from optuna_tnas.search.informative import informative
from optuna_tnas.search.informative import MAX_PENDING
from optuna_tnas.search.measured import Feasibility
from optuna_tnas.search.measured import fit_constraints
from optuna_tnas.search.search import Search
from optuna_tnas.search.several import SeveralObjectives
from optuna_tnas.search.share import drawn
from optuna_tnas.search.share import ShareOf
from optuna_tnas.search.unfinished import UnfinishedTrials
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.spaces.rows import best
from optuna_tnas.spaces.rows import without
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.known_features import KnownFeatures
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import unit_of
from optuna_tnas.surrogate.start import start_size


_N_BEST = 16  # trials that an evolutionary search starts from


@dataclass(frozen=True)
class _Fit:
    """What was fitted to a study's trials.

    Attributes:
        mixture: The objective's GPs.
        limits: The measured constraints, if there are some.
        n_completed: How many of the GPs' observations, the first ones, are completed trials.
    """

    mixture: Mixture
    limits: Feasibility | None
    n_completed: int


@dataclass(frozen=True)
class Decision:
    """A suggestion, and what it was decided by.

    Attributes:
        row: The suggested row.
        phase: What decided.
        acquisition: The acquisition function, if that decided; None with several objectives.
    """

    row: np.ndarray
    phase: Phase
    acquisition: Acquisition | None = None


class Suggester:
    """Suggests architectures of one space for one data set.

    Args:
        surrogate: The meta-learned or untrained surrogate.
        dataset: The data set that is searched on, if known.
        acquisition: ``"qei"``, ``"qlogei"`` or ``"ucb"``.
        constraints: Limits that are known before training; none unless given.
        cheap: Objectives that are known without training; none unless given.
        known: Features that are known before training, if there are some.
        n_startup_trials: Instead of the surrogate's ``n_warm_start``, if given.
        learns_from_unfinished: Whether the reports of pruned and running trials count, where the
            model of a study takes them.
    """

    def __init__(
        self,
        surrogate: MetaSurrogate,
        dataset: DatasetSample | None,
        acquisition: AcquisitionName = "qei",
        constraints: KnownConstraints | None = None,
        cheap: CheapObjectives | None = None,
        known: KnownFeatures | None = None,
        n_startup_trials: int | None = None,
        learns_from_unfinished: bool = True,
    ) -> None:
        self.surrogate = surrogate
        considered = learns_from_unfinished and surrogate.config.learns_from_unfinished
        self._unfinished = UnfinishedTrials(considered, surrogate.agreement)
        self._known_features = known
        self.dataset = dataset
        self.acquisition_name: AcquisitionName = acquisition
        self.constraints = constraints or KnownConstraints(surrogate.space)
        self.cheap = cheap or CheapObjectives(surrogate.space)
        self._helped = HelpedMetrics(surrogate, self.cheap.names)
        self._several = SeveralObjectives(self._helped, self.cheap)
        self._n_startup_trials = n_startup_trials
        self._n_starts: dict[int, int] = {}  # by the metric's position
        self._searches: dict[str, Search] = {}
        self._fits: dict[tuple[object, ...], _Fit] = {}  # the last one, by what it is of

    def __getstate__(self) -> dict[str, Any]:
        """Leave the searches and the last fit out, which are computed anew."""
        return {**vars(self), "_searches": {}, "_fits": {}}

    @property
    def learns_from_unfinished(self) -> bool:
        """Whether the reports of pruned and running trials count."""
        return self._unfinished.considered

    @property
    def _n_startup(self) -> int:
        """Trials, at most, before the acquisition function decides."""
        if self._n_startup_trials is None:
            return self.surrogate.config.n_warm_start
        return self._n_startup_trials

    def _search(self, space: SearchSpace) -> Search:
        """Return the search of a space; in a listed one all candidates are encoded here."""
        key = space.named_fingerprint
        if key not in self._searches:
            self._searches = {key: self._new_search(space)}
        return self._searches[key]

    def _new_search(self, space: SearchSpace) -> Search:
        if isinstance(space, JointSpace):
            model = self.surrogate.joint_model(self.dataset, space, self._known_features)
            return EvolutionarySearch(space, model, self.constraints, self.cheap)
        search = ExhaustiveSearch if space.enumerable else EvolutionarySearch
        model = self.surrogate.study_model(self.dataset, self._known_features)
        return search(space, model, self.constraints, self.cheap)

    def suggest(
        self,
        study: Observations,
        fixed: Fixed,
        rng: np.random.Generator,
        space: SearchSpace | None = None,
    ) -> np.ndarray:
        """Suggest the next row of a space; see :meth:`decide`."""
        return self.decide(study, fixed, rng, space).row

    def decide(
        self,
        study: Observations,
        fixed: Fixed,
        rng: np.random.Generator,
        space: SearchSpace | None = None,
        share: float = 1.0,
    ) -> Decision:
        """Suggest the next row of a space, and tell what decided.

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
            share: Of the candidates, a random one to choose from.

        Raises:
            ConstraintError: If no feasible architecture that agrees with ``fixed`` is found.
        """
        space = space or self.surrogate.space
        phase, known = self.phase(study, fixed, rng, space)
        if phase == "start":
            return Decision(drawn(known, share, rng)[0], phase)
        if phase == "random":
            return Decision(self._random(space, study, fixed, rng), phase)
        search = self._search(space)
        if phase == "past":
            start, ranking = known, self._predicted(search, space, study)
        else:
            start = best(study.X, study.merit, _N_BEST)
            ranking = self._improvement(search, space, study, int(rng.integers(1 << 30)))
        acquisition = ranking if isinstance(ranking, Acquisition) else None
        if share < 1:
            ranking = ShareOf(ranking, share, rng)
        row = search.maximize(ranking, start, study.avoided, fixed, rng)
        return Decision(row, phase, acquisition)

    def phase(
        self, study: Observations, fixed: Fixed, rng: np.random.Generator, space: SearchSpace
    ) -> tuple[Phase, np.ndarray]:
        """Tell what decides; also return the rows that are worth beginning with, best first."""
        begun = len(study.X) + len(study.pending)
        none = study.avoided[:0]
        if len(study.X) > 0 and begun >= self._n_startup:
            return "acquisition", none
        known = self._known(space, self._metric(study.names), rng)
        if study.metrics and self._several.predicted(study):
            return "past", known
        unused = self._unused(space, known, study, fixed)
        if self._is_beginning(study, len(unused)):
            return ("start", unused) if len(unused) else ("random", none)
        return ("past", known) if len(study.X) == 0 else ("acquisition", none)

    def _predicted(self, search: Search, space: SearchSpace, study: Observations) -> Ranking:
        """Rank architectures by what is predicted before there are trials."""
        if study.metrics and self._several.predicted(study):
            return self._several.predicted_front(search, space, study)
        return self._prior_mean(search, study.names)

    def _prior_mean(self, search: Search, names: Sequence[str | None]) -> PriorMean:
        return PriorMean(partial(search.prior_mean, metric=self._metric(names) or 0))

    def _metric(self, names: Sequence[str | None]) -> int | None:
        """Find the metric whose past helps an objective of these names, the first such one."""
        helping = self._helped.of_objectives(names)
        return next((metric for metric in helping if metric is not None), None)

    def beside(
        self, row: np.ndarray, names: Sequence[str | None], rng: np.random.Generator
    ) -> dict[str, Any]:
        """Choose the hyper-parameters that the past studies predict to be best.

        Args:
            row: ``P``, an architecture.
            names: The objectives' names, None for those without one.
            rng: Generator of the candidates.

        Returns:
            Values by name of all hyper-parameters that the past studies had, at least one.
        """
        known = self.surrogate.past_hyperparameters
        space = JointSpace(self.surrogate.space, known)
        search, fixed = self._search(space), dict(enumerate(row.tolist()))
        start = with_fixed(space, self._known(space, self._metric(names), rng), fixed)
        ranking = self._prior_mean(search, names)
        best_row = search.maximize(ranking, start, start[:0], fixed, rng)
        return known.decode(space.split(best_row[None])[1][0])

    def predict_from_past(
        self, names: Sequence[str | None], rows: np.ndarray, space: SearchSpace
    ) -> np.ndarray:
        """Predict the objectives of these names before there are trials.

        Args:
            names: The M objectives' names, None for those without one.
            rows: ``n`` rows of a space.
            space: The surrogate's space, joined with hyper-parameters if there are some.

        Returns:
            ``n x M``, higher is better, in standard deviations of a past study's values; NaN for
            objectives that no past knows.
        """
        search = self._search(space)
        predicted = np.full((len(rows), len(names)), np.nan)
        for j, metric in enumerate(self._helped.of_objectives(names)):
            if metric is not None and search.has_past:
                predicted[:, j] = search.prior_mean(search.inputs(rows), metric).numpy()
        return predicted

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
            return self._several.predict(search, study, rows)
        with torch.no_grad():
            mean, variance = self._fit(search, study).mixture.moments(search.inputs(rows))
        center, unit = unit_of(study.y)
        return center + unit * mean.numpy(), unit * variance.sqrt().numpy()

    def belief(
        self,
        study: Observations,
        row: np.ndarray,
        space: SearchSpace,
        acquisition: Acquisition | None,
    ) -> Belief:
        """Tell what the model says of a row of a space.

        Args:
            study: The study's trials so far.
            row: The row.
            space: The surrogate's space, joined with hyper-parameters if there are some.
            acquisition: From :meth:`acquisition`.
        """
        search = self._search(space)
        x, metric = search.inputs(row[None]), self._metric(study.names)
        helps = search.has_past and metric is not None
        past = float(search.prior_mean(x, metric or 0)) if helps else None
        if acquisition is None:
            no_past = search.no_past if helps else 1.0
            return Belief(past, None, None, no_past, None, self._sources(search, None, metric))
        mixture = acquisition.mixture
        with torch.no_grad():
            mean, variance = (float(moment) for moment in mixture.moments(x))
        center, unit = unit_of(study.y)
        return Belief(
            past,
            center + unit * mean if unit > 0 else None,
            unit * variance**0.5 if unit > 0 else None,
            mixture.no_past,
            None if mixture.past_weights is None else float(mixture.past_weights.mean()),
            self._sources(search, mixture, metric),
        )

    def acquisition(self, study: Observations, space: SearchSpace) -> Acquisition | None:
        """Build the acquisition function on a study's trials; None if none has a value."""
        return self._acquire(self._search(space), study, 0) if len(study.X) else None

    def value(
        self, row: np.ndarray, space: SearchSpace, acquisition: Acquisition | None
    ) -> float | None:
        """Evaluate an acquisition function at a row of a space."""
        if acquisition is None:
            return None
        return float(acquisition.values(self._search(space).inputs(row[None])))

    def improvements(
        self,
        study: Observations,
        rows: np.ndarray,
        space: SearchSpace,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Compare what is expected of rows of a space and of the best new one.

        Args:
            study: The study's trials, at least one of them with a value.
            rows: ``n`` rows.
            space: The surrogate's space, joined with hyper-parameters if there are some.
            rng: Generator of candidates.

        Returns:
            ``n + 1`` expected improvements over the best completed trial, of the rows and then of
            the new one, in the objective's unit.
        """
        search = self._search(space)
        fit = self._fit(search, study)
        none = search.inputs(study.pending[:0])
        improvement = Acquisition("qei", fit.mixture, none, 0, fit.limits, fit.n_completed)
        start = best(study.X, study.merit, _N_BEST)
        new = search.maximize(improvement, start, study.avoided, {}, rng)
        values = improvement.values(search.inputs(np.concatenate([rows, new[None]])))
        return unit_of(study.y)[1] * values.numpy()

    def noise(self, study: Observations, space: SearchSpace) -> float:
        """Estimate the standard deviation of a trial's noise, in the objective's unit.

        Args:
            study: The study's trials, at least one of them with a value.
            space: The surrogate's space, joined with hyper-parameters if there are some.
        """
        mixture = self._fit(self._search(space), study).mixture
        variances = torch.cat([gp.likelihood.noise for gp in mixture.gps]).double()
        return unit_of(study.y)[1] * float(mixture.probabilities @ variances) ** 0.5

    def sources(self, study: Observations, space: SearchSpace) -> dict[str, float]:
        """Tell by name how much each past study counts, after a study's trials."""
        search = self._search(space)
        mixture = self._fit(search, study).mixture if len(study.X) else None
        return self._sources(search, mixture, self._metric(study.names))

    def _sources(
        self, search: Search, mixture: Mixture | None, metric: int | None
    ) -> dict[str, float]:
        """Share out the probability that the past says something; nothing without a past."""
        predictor = self.surrogate.predictor
        if predictor is None or self._relevance is None or metric is None:
            return {}
        mine = predictor.of_metric(metric)
        shares, no_past = self._relevance[mine], search.no_past
        if mixture is not None:
            no_past = mixture.no_past
        if mixture is not None and mixture.past_weights is not None:
            weights = mixture.past_weights.abs()
            shares = shares * weights[torch.arange(len(shares)) % len(weights)]
        shares = (1 - no_past) * shares / shares.sum()
        names = compress(self.surrogate.past_names, mine.tolist())
        return dict(zip(names, shares.tolist(), strict=True))

    @cached_property
    def _relevance(self) -> Tensor | None:
        """How much each past study counts for the data set before there are trials."""
        predictor = self.surrogate.predictor
        return None if predictor is None else predictor.relevance(self.dataset)

    def _known(
        self, space: SearchSpace, metric: int | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Return rows that are worth beginning with by the past of a metric, best first.

        Beside hyper-parameters these are past trials, or else the warm-start architectures with
        random ones.
        """
        known = self.surrogate.warm_starts[metric or 0]
        if not isinstance(space, JointSpace):
            return known
        past = self.surrogate.past_rows(space)
        if len(past) > 0:
            search = self._search(space)
            predicted = search.prior_mean(search.inputs(past), metric or 0)
            return best(past, predicted.numpy(), len(known))
        return np.concatenate([known, space.hyperparameters.sample(len(known), rng)], axis=1)

    def _is_beginning(self, study: Observations, n_unused: int) -> bool:
        """Decide whether the architecture comes from the warm-start set.

        Workers that start together take different members of it: the prior mean alone would give
        them near-duplicates.
        """
        begun = len(study.X) + len(study.pending)
        if not self._past_helps(study):
            return len(study.X) == 0 or begun < self._n_startup
        n_start = self._n_start(self._metric(study.names) or 0)
        return begun > 0 and (len(study.X) == 0 or (begun < n_start and n_unused > 0))

    def _n_start(self, metric: int) -> int:
        """Trials before the GP takes over, where there is a past of a metric."""
        predictor, warm_start = self.surrogate.predictor, self.surrogate.warm_starts[metric]
        if predictor is None or len(warm_start) == 0:
            return 1
        if metric not in self._n_starts:
            predicted = predictor(warm_start)[:, predictor.of_metric(metric)]
            self._n_starts[metric] = start_size(predicted)
        return min(self._n_starts[metric], self._n_startup)

    def _past_helps(self, study: Observations) -> bool:
        """Tell whether past studies predict an objective of the study."""
        return self.surrogate.past is not None and self._metric(study.names) is not None

    def _improvement(
        self, search: Search, space: SearchSpace, study: Observations, seed: int
    ) -> Ranking:
        """Build the acquisition function on a study's trials, of one or of several objectives."""
        if study.metrics:
            return self._several.improvement(search, space, study, seed)
        return self._acquire(search, study, seed)

    def _acquire(self, search: Search, study: Observations, seed: int) -> Acquisition:
        """Fit the GPs to the study's trials and build their acquisition function."""
        fit = self._fit(search, study)
        pending = search.inputs(study.pending[-MAX_PENDING:])
        known = (fit.limits, fit.n_completed)
        return Acquisition(self.acquisition_name, fit.mixture, pending, seed, *known)

    def _fit(self, search: Search, study: Observations) -> _Fit:
        """Fit the GPs, unless the last fit was to the same trials: as if several are asked for."""
        measured = ((name, values.tobytes()) for name, values in study.constraints.items())
        curves = study.curves.key if study.curves else ()
        metric = self._metric(study.names)
        key = (search, metric, study.X.tobytes(), study.y.tobytes(), *measured, *curves)
        if key not in self._fits:
            kept = informative(study.merit)
            given = self._unfinished.outcomes(study, kept)
            mixture = search.fit(given.X, given.y, metric, given.noise)
            limits = fit_constraints(search, study, kept, self._helped)
            self._fits = {key: _Fit(mixture, limits, len(kept))}
        return self._fits[key]

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
