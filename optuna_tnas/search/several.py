"""Several objectives: what the past knows of them, their models, acquisition and prediction."""

from __future__ import annotations

from collections.abc import Sequence
import logging

import numpy as np
from optuna.logging import get_logger
import torch

from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.hypervolume import HypervolumeImprovement
from optuna_tnas.search.informative import informative
from optuna_tnas.search.informative import MAX_PENDING
from optuna_tnas.search.measured import fit_constraints
from optuna_tnas.search.objectives import cheap_objective
from optuna_tnas.search.objectives import fit_objectives
from optuna_tnas.search.objectives import KnownObjective
from optuna_tnas.search.objectives import Objective
from optuna_tnas.search.search import Search
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies.trials import Metric
from optuna_tnas.studies.trials import Observations
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import unit_of


_logger = get_logger(f"optuna.{__name__}")

_N_RANDOM = 256  # architectures that tell what values of several objectives are common

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


class SeveralObjectives:
    """Ranks and predicts architectures of studies with several objectives.

    Args:
        surrogate: The meta-learned or untrained surrogate.
        cheap: Objectives that are known without training.
    """

    def __init__(self, surrogate: MetaSurrogate, cheap: CheapObjectives) -> None:
        self._surrogate, self._cheap = surrogate, cheap
        self._told: set[str] = set()

    def helped(self, metrics: Sequence[Metric]) -> int | None:
        """Find the objective that the past studies predict; None if there is none.

        It is the one of the same name. If the past or the study has no names: the first one.
        """
        if self._surrogate.past is None:
            return None
        names, metric = [m.name for m in metrics], self._surrogate.metric
        if metric is None or names[0] is None:
            self._tell(logging.INFO, _FIRST)
            return 0
        if metric not in names:
            self._tell(logging.WARNING, _NO_OBJECTIVE, metric, names)
            return None
        return names.index(metric)

    def predicted(self, metrics: Sequence[Metric]) -> bool:
        """Tell whether every objective is known before the first trial: by the past, or cheap."""
        helped = self.helped(metrics)
        known = (j == helped or m.name in self._cheap.names for j, m in enumerate(metrics))
        return helped is not None and all(known)

    def predicted_front(
        self, search: Search, space: SearchSpace, study: Observations
    ) -> HypervolumeImprovement:
        """Rank by what an architecture adds to the predicted front of those begun."""
        objectives: list[Objective] = [
            cheap_objective(search, metric)
            if metric.name in self._cheap.names
            else KnownObjective(search.prior_mean)
            for metric in study.metrics
        ]
        begun = search.inputs(np.concatenate([study.X, study.pending]))
        random = search.inputs(space.sample(_N_RANDOM, np.random.default_rng(0)))
        return HypervolumeImprovement(objectives, begun, begun[:0], random, 0)

    def improvement(
        self, search: Search, space: SearchSpace, study: Observations, seed: int
    ) -> HypervolumeImprovement:
        """Fit a model of each objective to the study's trials and build their acquisition."""
        self._compare(study)
        kept = informative(study.merit)
        objectives = fit_objectives(search, study, kept, self.helped(study.metrics))
        limits = fit_constraints(search, study, kept)
        trials, pending = (search.inputs(X) for X in (study.X[kept], study.pending[-MAX_PENDING:]))
        random = search.inputs(space.sample(_N_RANDOM, np.random.default_rng(seed)))
        return HypervolumeImprovement(objectives, trials, pending, random, seed, limits)

    @torch.no_grad()
    def predict(
        self, search: Search, study: Observations, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict M objectives of ``n`` rows: means and standard deviations, ``n x M`` each."""
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

    def _compare(self, study: Observations) -> None:
        """Warn where trials report something else than a cheap objective says."""
        names = [metric.name for metric in study.metrics]
        for name, said in zip(self._cheap.names, self._cheap.values(study.X).T, strict=True):
            j = names.index(name)
            reported = study.metrics[j].sign * study.y[:, j]
            for i in np.flatnonzero(~np.isclose(said, reported, rtol=1e-3))[:1]:
                self._tell(logging.WARNING, _CONTRADICTED, name, said[i], reported[i])

    def _tell(self, level: int, message: str, *values: object) -> None:
        """Log something once."""
        if message not in self._told:
            self._told.add(message)
            _logger.log(level, message, *values)
