"""The next architecture of a study, from what the study holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.search.explanation import Phase
from optuna_tnas.search.feasible import draw
from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.fixed import with_fixed
from optuna_tnas.search.posterior import StudyPosterior
from optuna_tnas.search.search import Search
from optuna_tnas.search.share import drawn
from optuna_tnas.search.share import ShareOf
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.spaces.rows import best
from optuna_tnas.spaces.rows import without
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import unit_of
from optuna_tnas.surrogate.start import start_size


_N_BEST = 16  # trials that an evolutionary search starts from


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
        posterior: What the surrogate says of them.
        n_startup_trials: Instead of the surrogate's ``n_warm_start``, if given.
    """

    def __init__(self, posterior: StudyPosterior, n_startup_trials: int | None = None) -> None:
        self.posterior = posterior
        self._n_startup_trials = n_startup_trials
        self._n_starts: dict[int, int] = {}  # by the metric's position

    @property
    def surrogate(self) -> MetaSurrogate:
        """The meta-learned or untrained surrogate."""
        return self.posterior.surrogate

    @property
    def _n_startup(self) -> int:
        """Trials, at most, before the acquisition function decides."""
        if self._n_startup_trials is None:
            return self.surrogate.config.n_warm_start
        return self._n_startup_trials

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
        acquisition function of the GPs on the study's trials; while all trials failed, and these
        are learned from, the past's prediction and the probability not to fail. All of them meet
        the known constraints, unless the fixed choices leave no architecture open.

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
        phase, known = self.phase(study, fixed, rng, space, share)
        if phase == "start":
            return Decision(drawn(known, share, rng)[0], phase)
        if phase == "random":
            return Decision(self._random(space, study, fixed, rng), phase)
        search = self.posterior.search(space)
        if phase == "past":
            start, ranking = known, self._predicted(search, space, study)
        elif phase == "success":
            start, ranking = known, self.posterior.success(search, study)
        else:
            start = best(study.X, study.merit, _N_BEST)
            ranking = self._improvement(search, space, study, int(rng.integers(1 << 30)))
        acquisition = ranking if isinstance(ranking, Acquisition) else None
        if share < 1:
            ranking = ShareOf(ranking, share, rng)
        row = search.maximize(ranking, start, study.avoided, fixed, rng)
        return Decision(row, phase, acquisition)

    def phase(
        self,
        study: Observations,
        fixed: Fixed,
        rng: np.random.Generator,
        space: SearchSpace,
        share: float = 1.0,
    ) -> tuple[Phase, np.ndarray]:
        """Tell what decides; also return the rows that are worth beginning with, best first."""
        none = study.avoided[:0]
        if len(study.X) > 0 and study.n_begun >= self._n_startup:
            return "acquisition", none
        if len(study.X) == 0 and study.n_failed > 0:
            return "success", none
        known = self._known(space, self.posterior.metric(study.names), rng)
        if study.metrics and self.posterior.several.predicted(study):
            return "past", known
        unused = self._unused(space, known, study, fixed)
        if share * len(unused) < 1:  # others that choose at this moment take them all
            unused = none
        if self._is_beginning(study, len(unused)):
            return ("start", unused) if len(unused) else ("random", none)
        return ("past", known) if len(study.X) == 0 else ("acquisition", none)

    def _predicted(self, search: Search, space: SearchSpace, study: Observations) -> Ranking:
        """Rank architectures by what is predicted before there are trials."""
        if study.metrics and self.posterior.several.predicted(study):
            return self.posterior.several.predicted_front(search, space, study)
        return self.posterior.prior_mean(search, study.names)

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
        search, fixed = self.posterior.search(space), dict(enumerate(row.tolist()))
        start = with_fixed(space, self._known(space, self.posterior.metric(names), rng), fixed)
        ranking = self.posterior.prior_mean(search, names)
        best_row = search.maximize(ranking, start, start[:0], fixed, rng)
        return known.decode(space.split(best_row[None])[1][0])

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
        search = self.posterior.search(space)
        fit = self.posterior.fit(search, study)
        none = search.inputs(study.pending[:0])
        improvement = Acquisition("qei", fit.mixture, none, 0, fit.limits, fit.n_completed)
        start = best(study.X, study.merit, _N_BEST)
        new = search.maximize(improvement, start, study.avoided, {}, rng)
        values = improvement.values(search.inputs(np.concatenate([rows, new[None]])))
        return unit_of(study.y)[1] * values.numpy()

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
            search = self.posterior.search(space)
            predicted = search.prior_mean(search.inputs(past), metric or 0)
            return best(past, predicted.numpy(), len(known))
        return np.concatenate([known, space.hyperparameters.sample(len(known), rng)], axis=1)

    def _is_beginning(self, study: Observations, n_unused: int) -> bool:
        """Decide whether the architecture comes from the warm-start set.

        Workers that start together take different members of it: the prior mean alone would give
        them near-duplicates.
        """
        begun = study.n_begun
        if not self._past_helps(study):
            return len(study.X) == 0 or begun < self._n_startup
        n_start = self._n_start(self.posterior.metric(study.names) or 0)
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
        return self.surrogate.past is not None and self.posterior.metric(study.names) is not None

    def _improvement(
        self, search: Search, space: SearchSpace, study: Observations, seed: int
    ) -> Ranking:
        """Build the acquisition function on a study's trials, of one or of several objectives."""
        if study.metrics:
            return self.posterior.several.improvement(search, space, study, seed)
        return self.posterior.acquire(search, study, seed)

    def _unused(
        self, space: SearchSpace, known: np.ndarray, study: Observations, fixed: Fixed
    ) -> np.ndarray:
        """Find the warm-start rows that are allowed and new."""
        if self._past_helps(study):  # the best by its prediction stands for the first
            known = np.roll(known, -1, axis=0)
        elif self.surrogate.past is not None:  # they are good by what is no objective here
            known = known[:0]
        known = known[agrees(space, known, fixed)]
        return without(
            known[self.posterior.constraints.under(fixed).feasible(known)], study.avoided
        )

    def _random(
        self, space: SearchSpace, study: Observations, fixed: Fixed, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw a random row that is feasible, a new one if there is any among 256."""
        constraints, known = self.posterior.constraints.under(fixed), study.avoided
        drawn = draw(space, constraints, 256, known, known, fixed, rng)
        new = without(drawn, study.avoided)
        return np.asarray((new if len(new) else drawn)[0])
