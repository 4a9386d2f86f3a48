"""What a sampler's model says of a study: predictions, explanations, weights of the past."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from optuna_tnas.errors import StudyError
from optuna_tnas.search.explanation import Explanation
from optuna_tnas.search.explanation import Phase
from optuna_tnas.search.fixed import decided
from optuna_tnas.search.suggester import Decision
from optuna_tnas.search.suggester import Suggester
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies import choices
from optuna_tnas.studies import trials
from optuna_tnas.studies import values
from optuna_tnas.studies.as_of import as_of
from optuna_tnas.studies.observations import Observations
from optuna_tnas.studies.settled import SettledTrials
from optuna_tnas.surrogate.numerics import controlled_numerics


@dataclass(frozen=True)
class StudyReader:
    """Reads studies as one sampler sees them; its methods are those of ``TNASSampler``.

    Attributes:
        suggester: The sampler's.
        settled: What was read of trials before.
        lock: Held while the suggester is at work.
        seed: The sampler's.
        n_retries: How often an architecture whose trials fail may come again.
        learns_from_failures: Whether it is learned which architectures fail.
        allow_repeats: Whether an architecture may be suggested again.
    """

    suggester: Suggester
    settled: SettledTrials
    lock: Lock
    seed: int
    n_retries: int
    learns_from_failures: bool
    allow_repeats: bool

    def predict(
        self, study: Study, params: Sequence[Mapping[str, Any]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict objective values."""
        others = trials.all_of(study)
        space = self._space_beside(others)
        with self.lock, controlled_numerics():
            data = trials.observe(study, others, space, self.settled)
            if len(data.X) == 0:
                raise StudyError(
                    f"The study {study.study_name!r} has no completed trial with the parameters "
                    f"{list(space.distributions())}; run one before predicting."
                )
            rows = _encoded(params, space)
            mean, deviation = self.suggester.posterior.predict(data, rows, space)
        return values.signs_of(study) * mean, deviation

    def predict_from_past(self, study: Study, params: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Predict objective values before there are trials."""
        space = self._space_beside(trials.all_of(study))
        names = [metric.name for metric in values.metrics_of(study)]
        with self.lock, controlled_numerics():
            predicted = self.suggester.posterior.predict_from_past(
                names, _encoded(params, space), space
            )
        return np.asarray(values.signs_of(study) * predicted)

    def explain(self, study: Study, trial: FrozenTrial) -> Explanation:
        """Tell why a trial's architecture was tried, and what was expected of it."""
        _refuse_multi_objective(study)
        before = as_of(trials.all_of(study), trial)
        space = self._space_beside(before)
        row = choices.architecture(trial, space)
        if row is None:
            raise StudyError(
                f"Trial {trial.number} has no architecture to explain: of the parameters "
                f"{list(space.distributions())} it has {sorted(choices.given(trial))}."
            )
        with self.lock, controlled_numerics():
            data = self._observed(study, before, space)
            phase = self._phase(trial, data, space)
            acquisition = self.suggester.posterior.acquisition(data, space)
            value = self.suggester.posterior.value(row, space, acquisition)
            found = self.explained(study, trial, space, data, Decision(row, phase, acquisition))
        return replace(found, acquisition=value)

    def _phase(self, trial: FrozenTrial, data: Observations, space: SearchSpace) -> Phase:
        """Tell what decided about a trial's architecture."""
        architectures = self.suggester.surrogate.space
        fixed = architectures.positions(choices.enqueued(trial))
        if decided(architectures, fixed) is not None:
            return "enqueued"
        if not choices.has_claimed(trial):
            return "other"
        if self.allow_repeats:
            data = replace(data, avoided=data.avoided[:0])
        rng = np.random.default_rng([self.seed, trial.number, 0])
        return self.suggester.phase(data, fixed, rng, space)[0]

    def explained(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        data: Observations,
        decision: Decision,
    ) -> Explanation:
        """Put in words and in the objective's unit what a trial was decided by.

        The caller holds the lock and controls the numerics.

        Args:
            study: The study.
            trial: The trial.
            space: What was searched.
            data: The study's trials as they were when it was decided.
            decision: What was decided.
        """
        belief = self.suggester.posterior.belief(data, decision.row, space, decision.acquisition)
        mean = None if belief.mean is None else values.sign_of(study) * belief.mean
        found = {**vars(belief), "mean": mean}
        return Explanation(
            **found, number=trial.number, phase=decision.phase, n_trials=len(data.X)
        )

    def improvements(
        self, study: Study, trial: FrozenTrial, everything: Sequence[FrozenTrial]
    ) -> tuple[float, float] | None:
        """Compare what is expected of finishing one of all trials and of a new architecture."""
        space = self._space_beside(everything)
        row = choices.architecture(trial, space)
        if row is None:
            return None
        expected = self._improvements(study, everything, space, row[None], trial)
        return None if expected is None else (float(expected[0]), float(expected[1]))

    def improvement_left(self, study: Study, others: Sequence[FrozenTrial]) -> float | None:
        """Tell what is expected of the best new architecture after some of a study's trials."""
        space = self._space_beside(others)
        none = space.sample(0, np.random.default_rng())
        expected = self._improvements(study, others, space, none, None)
        return None if expected is None else float(expected[0])

    def _improvements(
        self,
        study: Study,
        others: Sequence[FrozenTrial],
        space: SearchSpace,
        rows: np.ndarray,
        trial: FrozenTrial | None,
    ) -> np.ndarray | None:
        """Compare rows with the best new one; None if no trial is completed and feasible."""
        number, step = (0, 0) if trial is None else (trial.number, trial.last_step or 0)
        with self.lock, controlled_numerics():
            data = self._observed(study, others, space)
            if len(data.X) == 0 or not data.feasible.any():
                return None
            rng = np.random.default_rng([self.seed, number, step])
            return self.suggester.improvements(data, rows, space, rng)

    def noise(self, study: Study, others: Sequence[FrozenTrial]) -> float | None:
        """Estimate the standard deviation of the noise of some of a study's trials."""
        space = self._space_beside(others)
        with self.lock, controlled_numerics():
            data = trials.observe(study, others, space, self.settled)
            return self.suggester.posterior.noise(data, space) if len(data.X) else None

    def source_weights(self, study: Study) -> dict[str, float]:
        """Tell how much each past study counts in the next suggestion."""
        _refuse_multi_objective(study)
        others = trials.all_of(study)
        space = self._space_beside(others)
        with self.lock, controlled_numerics():
            data = trials.observe(study, others, space, self.settled)
            return self.suggester.posterior.sources(data, space)

    def _observed(
        self, study: Study, others: Sequence[FrozenTrial], space: SearchSpace
    ) -> Observations:
        """Convert some of a study's trials as a suggestion sees them."""
        known = (self.settled, self.n_retries, self.learns_from_failures)
        return trials.observe(study, others, space, *known)

    def _space_beside(self, others: Sequence[FrozenTrial]) -> SearchSpace:
        """Join the architectures with what some trials were asked beside them."""
        surrogate = self.suggester.surrogate
        asked = trials.asked_beside(others, surrogate.space)
        if not surrogate.config.searches_hyperparameters or len(asked) == 0:
            return surrogate.space
        return JointSpace(surrogate.space, asked)


def _encoded(params: Sequence[Mapping[str, Any]], space: SearchSpace) -> np.ndarray:
    """Convert ``n`` trials' parameters to rows of a space."""
    none = space.sample(0, np.random.default_rng())
    rows = np.array([space.encode(p) for p in params], dtype=none.dtype)
    return rows.reshape(-1, none.shape[1])


def _refuse_multi_objective(study: Study) -> None:
    if len(study.directions) > 1:
        raise StudyError(
            f"The study has {len(study.directions)} objectives; explanations are of studies with "
            "one. What is expected of architectures, TNASSampler.predict tells of each objective."
        )
