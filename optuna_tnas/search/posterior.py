"""What the surrogate says of architectures, before and after a study's trials."""

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
from optuna_tnas.search.acquisition import LimitedPriorMean
from optuna_tnas.search.acquisition import PriorMean
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.explanation import Belief
from optuna_tnas.search.helped import HelpedMetrics
from optuna_tnas.search.informative import informative
from optuna_tnas.search.informative import MAX_PENDING
from optuna_tnas.search.measured import Feasibility
from optuna_tnas.search.measured import fit_constraints
from optuna_tnas.search.search import Search
from optuna_tnas.search.several import SeveralObjectives
from optuna_tnas.search.unfinished import UnfinishedTrials
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.known_features import KnownFeatures
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import unit_of


@dataclass(frozen=True)
class Fit:
    """What was fitted to a study's trials.

    Attributes:
        mixture: The objective's GPs.
        limits: The measured constraints, if there are some.
        n_completed: How many of the GPs' observations, the first ones, are completed trials.
    """

    mixture: Mixture
    limits: Feasibility | None
    n_completed: int


class StudyPosterior:
    """Predicts values of one space's architectures for one data set.

    The spaces' candidates and the last fit are kept.

    Args:
        surrogate: The meta-learned or untrained surrogate.
        dataset: The data set that is searched on, if known.
        acquisition: ``"qei"``, ``"qlogei"`` or ``"ucb"``.
        constraints: Limits that are known before training; none unless given.
        cheap: Objectives that are known without training; none unless given.
        known: Features that are known before training, if there are some.
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
        learns_from_unfinished: bool = True,
    ) -> None:
        self.surrogate = surrogate
        self.dataset = dataset
        self.acquisition_name: AcquisitionName = acquisition
        self.constraints = constraints or KnownConstraints(surrogate.space)
        self.cheap = cheap or CheapObjectives(surrogate.space)
        self._known_features = known
        self.helped = HelpedMetrics(surrogate, self.cheap.names)
        self.several = SeveralObjectives(self.helped, self.cheap)
        considered = learns_from_unfinished and surrogate.config.learns_from_unfinished
        self._unfinished = UnfinishedTrials(considered, surrogate.agreement)
        self._searches: dict[str, Search] = {}
        self._fits: dict[tuple[object, ...], Fit] = {}  # the last one, by what it is of

    def __getstate__(self) -> dict[str, Any]:
        """Leave the searches and the last fit out, which are computed anew."""
        return {**vars(self), "_searches": {}, "_fits": {}}

    @property
    def learns_from_unfinished(self) -> bool:
        """Whether the reports of pruned and running trials count."""
        return self._unfinished.considered

    def search(self, space: SearchSpace) -> Search:
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

    def metric(self, names: Sequence[str | None]) -> int | None:
        """Find the metric whose past helps an objective of these names, the first such one."""
        helping = self.helped.of_objectives(names)
        return next((metric for metric in helping if metric is not None), None)

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
        search = self.search(space)
        predicted = np.full((len(rows), len(names)), np.nan)
        for j, metric in enumerate(self.helped.of_objectives(names)):
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
        search = self.search(space)
        if study.metrics:
            return self.several.predict(search, study, rows)
        with torch.no_grad():
            mean, variance = self.fit(search, study).mixture.moments(search.inputs(rows))
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
        search = self.search(space)
        x, metric = search.inputs(row[None]), self.metric(study.names)
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
        return self.acquire(self.search(space), study, 0) if len(study.X) else None

    def value(
        self, row: np.ndarray, space: SearchSpace, acquisition: Acquisition | None
    ) -> float | None:
        """Evaluate an acquisition function at a row of a space."""
        if acquisition is None:
            return None
        return float(acquisition.values(self.search(space).inputs(row[None])))

    def noise(self, study: Observations, space: SearchSpace) -> float:
        """Estimate the standard deviation of a trial's noise, in the objective's unit.

        Args:
            study: The study's trials, at least one of them with a value.
            space: The surrogate's space, joined with hyper-parameters if there are some.
        """
        mixture = self.fit(self.search(space), study).mixture
        variances = torch.cat([gp.likelihood.noise for gp in mixture.gps]).double()
        return unit_of(study.y)[1] * float(mixture.probabilities @ variances) ** 0.5

    def sources(self, study: Observations, space: SearchSpace) -> dict[str, float]:
        """Tell by name how much each past study counts, after a study's trials."""
        search = self.search(space)
        mixture = self.fit(search, study).mixture if len(study.X) else None
        return self._sources(search, mixture, self.metric(study.names))

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

    def acquire(self, search: Search, study: Observations, seed: int) -> Acquisition:
        """Fit the GPs to the study's trials and build their acquisition function."""
        fit = self.fit(search, study)
        pending = search.inputs(study.pending[-MAX_PENDING:])
        known = (fit.limits, fit.n_completed)
        return Acquisition(self.acquisition_name, fit.mixture, pending, seed, *known)

    def fit(self, search: Search, study: Observations) -> Fit:
        """Fit the GPs, unless the last fit was to the same trials: as if several are asked for."""
        measured = ((name, values.tobytes()) for name, values in study.constraints.items())
        curves = study.curves.key if study.curves else ()
        metric = self.metric(study.names)
        failed = b"" if study.failed is None else study.failed.tobytes()
        key = (search, metric, study.X.tobytes(), study.y.tobytes(), failed, *measured, *curves)
        if key not in self._fits:
            kept = informative(study.merit)
            # First what is on all trials, failed ones too: the search keeps what it last used.
            limits = fit_constraints(search, study, kept, self.helped)
            given = self._unfinished.outcomes(study, kept)
            mixture = search.fit(given.X, given.y, metric, given.noise)
            self._fits = {key: Fit(mixture, limits, len(kept))}
        return self._fits[key]

    def success(self, search: Search, study: Observations) -> LimitedPriorMean:
        """Rank architectures by the past and by how probable it is that they do not fail.

        Args:
            search: The space's search.
            study: A study all of whose trials failed.
        """
        limits = fit_constraints(search, study, np.arange(0), self.helped)
        assert limits is not None
        metric = self.metric(study.names)
        if metric is None:
            return LimitedPriorMean(lambda x: torch.zeros(len(x)), limits)
        return LimitedPriorMean(partial(search.prior_mean, metric=metric), limits)

    def prior_mean(self, search: Search, names: Sequence[str | None]) -> PriorMean:
        """Rank architectures by what the past studies predict of objectives of these names."""
        return PriorMean(partial(search.prior_mean, metric=self.metric(names) or 0))
