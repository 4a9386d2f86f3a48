"""Several objectives: their models, acquisition and prediction, with what the past knows."""

from __future__ import annotations

from functools import partial

import numpy as np
from optuna.logging import get_logger
import torch

from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.helped import HelpedMetrics
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
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.outcomes import unit_of


_logger = get_logger(f"optuna.{__name__}")

_N_RANDOM = 256  # architectures that tell what values of several objectives are common

_CONTRADICTED = (
    "The cheap objective %r is %g for an architecture whose trial reports %g. It is the function "
    "that the search believes."
)


class SeveralObjectives:
    """Ranks and predicts architectures of studies with several objectives.

    Args:
        helped: Finds the past of an objective.
        cheap: Objectives that are known without training.
    """

    def __init__(self, helped: HelpedMetrics, cheap: CheapObjectives) -> None:
        self._helped, self._cheap = helped, cheap
        self._contradicted = False

    def predicted(self, study: Observations) -> bool:
        """Tell whether every objective is known before the first trial: by the past, or cheap."""
        past = self._helped.of_objectives(study.names)
        known = (
            helping is not None or name in self._cheap.names
            for helping, name in zip(past, study.names, strict=True)
        )
        return any(helping is not None for helping in past) and all(known)

    def predicted_front(
        self, search: Search, space: SearchSpace, study: Observations
    ) -> HypervolumeImprovement:
        """Rank by what an architecture adds to the predicted front of those begun."""
        objectives: list[Objective] = [
            cheap_objective(search, metric)
            if helping is None or metric.name in self._cheap.names
            else KnownObjective(partial(search.prior_mean, metric=helping))
            for metric, helping in zip(
                study.metrics, self._helped.of_objectives(study.names), strict=True
            )
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
        past = self._helped.of_objectives(study.names)
        limits = fit_constraints(search, study, kept, self._helped)
        objectives = fit_objectives(search, study, kept, past)
        trials, pending = (search.inputs(X) for X in (study.X[kept], study.pending[-MAX_PENDING:]))
        random = search.inputs(space.sample(_N_RANDOM, np.random.default_rng(seed)))
        return HypervolumeImprovement(objectives, trials, pending, random, seed, limits)

    @torch.no_grad()
    def predict(
        self, search: Search, study: Observations, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict M objectives of ``n`` rows: means and standard deviations, ``n x M`` each."""
        kept, x = informative(study.merit), search.inputs(rows)
        past = self._helped.of_objectives(study.names)
        objectives = fit_objectives(search, study, kept, past)
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
        """Warn once where trials report something else than a cheap objective says."""
        names = [metric.name for metric in study.metrics]
        for name, said in zip(self._cheap.names, self._cheap.values(study.X).T, strict=True):
            j = names.index(name)
            reported = study.metrics[j].sign * study.y[:, j]
            for i in np.flatnonzero(~np.isclose(said, reported, rtol=1e-3))[:1]:
                if not self._contradicted:
                    _logger.warning(_CONTRADICTED, name, said[i], reported[i])
                self._contradicted = True
