"""TNASSampler: Optuna's sampler protocol, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any
from typing import Literal

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.logging import get_logger
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
import torch

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.errors import SpaceError
from optuna_tnas.errors import StudyError
from optuna_tnas.experimental import warn_experimental
from optuna_tnas.reader import StudyReader
from optuna_tnas.search.acquisition import AcquisitionName
from optuna_tnas.search.acquisition import check_acquisition
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.explanation import Explanation
from optuna_tnas.search.fixed import decided
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.known import KnownFunction
from optuna_tnas.search.posterior import StudyPosterior
from optuna_tnas.search.suggester import Decision
from optuna_tnas.search.suggester import Suggester
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.hyperparameters import NONE
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.spaces.joint import SearchSpace
from optuna_tnas.studies import choices
from optuna_tnas.studies import claims
from optuna_tnas.studies import trials
from optuna_tnas.studies import values
from optuna_tnas.studies.independent import IndependentParameters
from optuna_tnas.studies.observations import Observations
from optuna_tnas.studies.settled import SettledTrials
from optuna_tnas.surrogate.known_features import ArchitectureFeatures
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.numerics import controlled_numerics


_logger = get_logger(f"optuna.{__name__}")  # so that Optuna's verbosity and handler apply

# How often a worker looks for another architecture after others claimed its choice. Each time it
# chooses among a smaller share of the candidates, at random, so that few meet again.
_MAX_CLAIMS = 100
# How often an architecture whose trials fail may come again, by ``failed_trials``.
_N_RETRIES = {"avoid": 0, "retry": 2, "model": 0}


class TNASSampler(BaseSampler):
    """Suggests neural architectures, starting from what earlier searches learned.

    The parameters of ``space`` are sampled together, from the first trial on, and with them every
    hyper-parameter that a trial of the study was asked for. One that no trial was asked for comes
    from past studies, or from ``independent_sampler``. The sampler keeps nothing about a study
    that the study's storage does not hold: a worker that was killed goes on where it was, and the
    n-th trial depends on the seed, n and the other trials only.

    Args:
        surrogate: From :func:`~optuna_tnas.meta_train`; an untrained one unless given.
        space: The search space; needed without a surrogate. With one, it may rename the
            parameters.
        dataset: A sample of the data set that is searched on, if known.
        seed: Same seed, same trials.
        acquisition: ``"qei"`` (expected improvement), ``"qlogei"`` (its logarithm, numerically
            more robust) or ``"ucb"`` (upper confidence bound). With several objectives the first
            two are the expected hypervolume improvement, and there is no third.
        device: Where the encoders run; the Gaussian process stays on the CPU.
        independent_sampler: For parameters that no earlier trial was asked for, instead of what
            past studies say of them; random unless given.
        warn_independent_sampling: Whether to warn of such parameters, once a trial has finished.
        n_startup_trials: Trials, at most, before the acquisition function decides; the
            surrogate's ``config.n_warm_start`` unless given. The first trials are the best by the
            past studies' prediction and architectures that cover them, or random ones without a
            past. As long as no trial has completed, all are such, unless failures are learned
            from.
        allow_repeats: Whether an architecture may be suggested again, for noisy objectives.
        failed_trials: ``"avoid"``: an architecture whose trial failed is not suggested again, as
            one that needs too much memory. ``"retry"``: it is until it has failed three times,
            as on machines that are preempted. ``"model"``: none whose trial failed, and where
            trials fail is learned, so that others which probably fail are avoided, too.
        known_constraints: Limits known before training, by name: functions of an architecture's
            parameters (a dict such as ``trial.params``, of the space's parameters only) that are
            0 or less where the limit is met. Each is called once for an architecture. None that
            violates one is suggested; one that was enqueued runs with a warning.
        cheap_objectives: Those of several objectives that are known without training, by the name
            that ``study.set_metric_names`` gives them: functions of an architecture's parameters,
            such as its number of parameters, that return what a trial reports. Each is called
            once for an architecture and exact in the search.
        features: What is known of an architecture before training: a function of its parameters
            (as for ``known_constraints``) that returns numbers by name, NaN where one is missing,
            such as those of :mod:`optuna_tnas.features`. It is called once for an architecture;
            in a listed space for all of them, before the first suggestion that uses them.
        consider_pruned_trials: Whether what pruned and running trials reported
            (``trial.report``) counts; not with the preset "paper".
        explain_trials: Whether to write with each suggestion what it was decided by, as the
            trial's user attributes ``tnas:reason``, ``tnas:mean`` and ``tnas:std``, which
            optuna-dashboard shows as columns; the latter two once a trial has a value. In studies
            with one objective.

    Raises:
        SpaceError: If neither surrogate nor space is given, or they contradict each other.
        OptunaTNASError: If there is no such acquisition or way with failed trials, or the seed or
            ``n_startup_trials`` is negative or no integer.
        DatasetError: If the data set's points have another width than the surrogate's.
        ConstraintError: If the constraints are no mapping of names to functions.
        ObjectiveError: If the cheap objectives are none.
        FeatureError: If the features are no function, or the surrogate is of the preset "paper".
    """

    def __init__(
        self,
        surrogate: MetaSurrogate | None = None,
        *,
        space: Space | None = None,
        dataset: DatasetSample | None = None,
        seed: int | None = None,
        acquisition: AcquisitionName = "qei",
        device: torch.device | str | None = None,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
        n_startup_trials: int | None = None,
        allow_repeats: bool = False,
        failed_trials: Literal["avoid", "retry", "model"] = "avoid",
        known_constraints: Mapping[str, KnownFunction] | None = None,
        cheap_objectives: Mapping[str, KnownFunction] | None = None,
        features: ArchitectureFeatures | None = None,
        consider_pruned_trials: bool = True,
        explain_trials: bool = True,
    ) -> None:
        check_acquisition(acquisition)
        for name, given in {
            "failed_trials": failed_trials != "avoid",
            "known_constraints": known_constraints is not None,
            "cheap_objectives": cheap_objectives is not None,
            "features": features is not None,
        }.items():
            if given:
                warn_experimental(f"Argument `{name}`")
        surrogate = _resolve(surrogate, space).to(device or "cpu")
        surrogate.network.check_dataset(dataset)
        if n_startup_trials is not None:
            n_startup_trials = _checked_count("n_startup_trials", n_startup_trials)
        posterior = StudyPosterior(
            surrogate,
            dataset,
            acquisition,
            KnownConstraints(surrogate.space, known_constraints),
            CheapObjectives(surrogate.space, cheap_objectives),
            None if features is None else surrogate.known_features(features),
            consider_pruned_trials,
        )
        self._suggester = Suggester(posterior, n_startup_trials)
        self._seed = _entropy() if seed is None else _checked_count("seed", seed)
        self._independent = IndependentParameters(
            self._seed,
            surrogate.past_hyperparameters,
            independent_sampler,
            _why_independent(surrogate) if warn_independent_sampling else None,
        )
        self._allow_repeats = allow_repeats
        self._explain_trials = explain_trials
        self._n_retries = _retries(failed_trials)
        self._learns_from_failures = failed_trials == "model"
        self._settled = SettledTrials()
        self._lock = Lock()

    @classmethod
    def load(cls, source: str | Path, *, space: Space | None = None, **kwargs: Any) -> TNASSampler:
        """A sampler with the surrogate of a checkpoint.

        Args:
            source: A path such as ``"meta.pt"``, or the name of a shipped checkpoint.
            space: As for the constructor; needed if it is define-by-run code.
            **kwargs: As for the constructor.

        Raises:
            MissingSpaceError: If the space is needed and not given, or is another one.
            CheckpointError: If the file is missing, damaged or foreign.
        """
        return cls(MetaSurrogate.load(source, space), space=space, **kwargs)

    @property
    def space(self) -> Space:
        """The search space."""
        return self._suggester.surrogate.space

    @property
    def surrogate(self) -> MetaSurrogate:
        """What earlier searches taught."""
        return self._suggester.surrogate

    @property
    def learns_from_unfinished(self) -> bool:
        """Whether what pruned and running trials reported counts."""
        return self._suggester.posterior.learns_from_unfinished

    @property
    def dataset(self) -> DatasetSample | None:
        """A sample of the data set that is searched on, if known."""
        return self._suggester.posterior.dataset

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_lock", "_settled")
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._settled = SettledTrials()
        self._lock = Lock()

    def reseed_rng(self) -> None:
        """Passed on to the independent sampler.

        Optuna asks for it between threads, so that they do not draw the same. Here each trial's
        number makes its draws differ, and the seed stays.
        """
        if self._independent.sampler is not None:
            self._independent.sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The declared space, and what the study's trials were asked beside it."""
        return {**self.space.distributions(), **self._hyperparameters(study, trial).distributions}

    def _hyperparameters(self, study: Study, trial: FrozenTrial) -> Hyperparameters:
        if not self._suggester.surrogate.config.searches_hyperparameters:
            return NONE
        return trials.hyperparameters(study, self.space, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """An architecture, and the hyper-parameters beside it.

        Raises:
            StudyError: If the study's parameters have other choices, or a cheap objective is none
                of its objectives.
            OptunaTNASError: If the acquisition is not for several objectives.
            ObjectiveError: If a cheap objective cannot be evaluated.
            ConstraintError: If a known constraint cannot be evaluated, or no architecture that
                meets them all is found.
        """
        self._check_objectives(study)
        if not self.space.distributions().keys() & search_space.keys():
            return {
                name: self.sample_independent(study, trial, name, distribution)
                for name, distribution in search_space.items()
            }
        space = self._search_space(search_space)
        row = self._claim(space, study, trial, self._fixed(space, study, trial, search_space))
        if space is self.space and self._independent.may_plan(study):
            self._independent.plan(trial, self._beside(row, study, trial))
        whole = space.decode(row, inactive=True)
        return {name: whole[name] for name in search_space}

    def _check_objectives(self, study: Study) -> None:
        """Refuse a study whose objectives contradict the sampler's arguments."""
        M, names = len(study.directions), self._suggester.posterior.cheap.names
        if M > 1 and self._suggester.posterior.acquisition_name == "ucb":
            raise OptunaTNASError(
                f"The acquisition 'ucb' is not for {M} objectives; choose 'qei' or 'qlogei', both "
                "of which are the expected hypervolume improvement then."
            )
        known = (study.metric_names or []) if names and M > 1 else []
        unknown = [name for name in names if name not in known]
        if unknown:
            raise StudyError(
                f"The cheap objective {unknown[0]!r} is none of the study's {M} objectives "
                f"{known}. It must be one of several; name them with study.set_metric_names."
            )

    def _beside(self, row: np.ndarray, study: Study, trial: FrozenTrial) -> Mapping[str, Any]:
        """Choose hyper-parameters that a new study may ask for."""
        with self._lock, controlled_numerics():
            rng = np.random.default_rng([self._seed, trial.number])
            names = [metric.name for metric in values.metrics_of(study)]
            return self._suggester.beside(row, names, rng)

    def _search_space(self, search_space: dict[str, BaseDistribution]) -> SearchSpace:
        """Join the architectures and the hyper-parameters that are to be sampled with them."""
        names = search_space.keys() - self.space.distributions().keys()
        others = {name: search_space[name] for name in search_space if name in names}
        return JointSpace(self.space, Hyperparameters(others)) if others else self.space

    def _fixed(
        self,
        space: SearchSpace,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> Fixed:
        """Choices of this trial that are made already.

        They were enqueued, or a wrapper such as ``PartialFixedSampler`` took their names out of
        the search space; what value it has in mind, it tells as it would tell Optuna.
        """
        values = dict(choices.given(trial))
        for name, distribution in self.space.distributions().items():
            if name not in search_space and name not in values and study.sampler is not self:
                values[name] = study.sampler.sample_independent(study, trial, name, distribution)
        return space.positions(values)

    def _claim(
        self, space: SearchSpace, study: Study, trial: FrozenTrial, fixed: Fixed
    ) -> np.ndarray:
        """Choose an architecture that no other worker chooses at the same time."""
        share, known = 1.0, (self._settled, self._n_retries)
        for attempt in range(_MAX_CLAIMS):
            rng = np.random.default_rng([self._seed, trial.number, attempt])
            data, decision = self._choose(space, study, trial, fixed, rng, share)
            self._warn_if_unused(study, trial, len(data.X))
            if self._allow_repeats or (data.avoided == decision.row).all(axis=1).any():
                break  # it need not or cannot be this trial's alone
            n_rivals = claims.give_way(study, space, trial, decision.row, *known)
            if n_rivals == 0:
                break
            share /= 1 + n_rivals  # they choose again at the same time, and are to part
            _logger.debug("Trial %d: its choice %d is claimed already.", trial.number, attempt)
        attributes = self._attributes(study, trial, space, data, decision)
        trials.write_attributes(study, trial, attributes)
        return decision.row

    def _choose(
        self,
        space: SearchSpace,
        study: Study,
        trial: FrozenTrial,
        fixed: Fixed,
        rng: np.random.Generator,
        share: float,
    ) -> tuple[Observations, Decision]:
        """Choose an architecture of a share of the candidates, and claim it.

        Threads do so one after the other, so that each sees the claims of those before it.
        """
        with self._lock, controlled_numerics():
            known = (self._settled, self._n_retries, self._learns_from_failures)
            data = trials.read_study(study, space, trial, *known)
            if self._allow_repeats:
                data = replace(data, avoided=data.avoided[:0])
            share *= claims.share(data, trial)
            decision = self._suggester.decide(data, fixed, rng, space, share)
            claims.claim(study, space, trial, decision.row)
            return data, decision

    def _attributes(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        data: Observations,
        decision: Decision,
    ) -> Mapping[str, Any]:
        """Return what is written with a suggestion, if anything is."""
        if not self._explain_trials or data.metrics:
            return {}
        with self._lock, controlled_numerics():
            return self.reader.explained(study, trial, space, data, decision).attributes

    def _warn_if_unused(self, study: Study, trial: FrozenTrial, n_known: int) -> None:
        if trial.number == 10 and n_known == 0:
            _logger.warning(
                "No completed trial of the study %r has the space's parameters %s. Suggest them "
                "with space.suggest(trial), or rename the space's with names=[...].",
                study.study_name,
                list(self.space.distributions()),
            )

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A parameter that no earlier trial was asked for: as the past has it, or at random."""
        return self._independent.sample(study, trial, param_name, param_distribution)

    def predict(
        self, study: Study, params: Sequence[Mapping[str, Any]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict objective values, from the past studies and the study's trials.

        Args:
            study: A study of this sampler's space with at least one completed trial.
            params: ``n`` trials' parameters: of the space, and of the hyper-parameters that the
                study's trials were asked for (in the middle of the range where they are missing).

        Returns:
            Means and standard deviations in the objective's unit, ``n`` float64 each, or
            ``n x M`` of M objectives. The latter say how uncertain the value is without a trial's
            noise.

        Raises:
            StudyError: If the study has no completed trial with the space's parameters, or its
                parameters have other choices.
            SpaceError: If parameters are none of the space's.
        """
        return self.reader.predict(study, params)

    def predict_from_past(self, study: Study, params: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Predict objective values from the past studies alone, as before the first trial.

        Args:
            study: A study of this sampler's space; its objectives' names and directions count.
            params: ``n`` trials' parameters, as for :meth:`predict`.

        Returns:
            ``n x M`` of M objectives, in standard deviations of a past study's values above their
            middle, lower being better where the study minimizes; NaN for an objective that no
            past study knows.

        Raises:
            StudyError: If the study's parameters have other choices.
            SpaceError: If parameters are none of the space's.
        """
        return self.reader.predict_from_past(study, params)

    def explain(self, study: Study, trial: FrozenTrial) -> Explanation:
        """Tell why a trial's architecture was tried, and what was expected of it.

        Everything is computed anew, with this sampler's surrogate, data set and acquisition
        function, from the trials in the states that they had when this one began. Trials that
        ended between that moment and the first parameter that this one asked for count as
        running here, although the suggestion had seen them. Whether the trial was enqueued or
        suggested by another sampler is read off it; which phase of the search it was follows
        from the trials before it.

        Args:
            study: A study of this sampler's space.
            trial: One of its trials, with an architecture of the space, in any state.

        Raises:
            StudyError: If the study has several objectives, or the trial has no architecture of
                the space, or one of other choices.
        """
        return self.reader.explain(study, trial)

    def source_weights(self, study: Study) -> dict[str, float]:
        """Tell how much each past study counts in the next suggestion.

        Args:
            study: A study of this sampler's space.

        Returns:
            By the past study's name, the share of :attr:`Explanation.sources`. What is missing
            to 1 is the probability that the past studies say nothing. Empty without a past.

        Raises:
            StudyError: If the study has several objectives, or its parameters other choices.
        """
        return self.reader.source_weights(study)

    @property
    def reader(self) -> StudyReader:
        """What the sampler's model says of a study, beyond the methods here."""
        return StudyReader(
            self._suggester,
            self._settled,
            self._lock,
            self._seed,
            self._n_retries,
            self._learns_from_failures,
            self._allow_repeats,
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Warn of an architecture that is fixed and violates a known constraint.

        Passed on to the independent sampler.
        """
        if self._suggester.posterior.constraints.names:
            self._warn_if_violated(study, trial)
        if self._independent.sampler is not None:
            self._independent.sampler.before_trial(study, trial)

    def _warn_if_violated(self, study: Study, trial: FrozenTrial) -> None:
        """Look before the trial: Optuna asks for no suggestion where all parameters are fixed."""
        search_space = study.sampler.infer_relative_search_space(study, trial)
        row = decided(self.space, self._fixed(self.space, study, trial, search_space))
        if row is None:
            return
        with self._lock:
            violated = self._suggester.posterior.constraints.violated(row)
        if violated:
            _logger.warning(
                "The parameters of trial %d are fixed and violate the known constraints %s; it "
                "runs all the same.",
                trial.number,
                violated,
            )

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Passed on to the independent sampler."""
        self._independent.forget(trial)
        if self._independent.sampler is not None:
            self._independent.sampler.after_trial(study, trial, state, values)


def _why_independent(surrogate: MetaSurrogate) -> str:
    """Tell why the model does not sample a parameter."""
    if surrogate.config.searches_hyperparameters:
        return "no other trial of the study was asked for it"
    return "the preset `paper` has no hyper-parameters in its model"


def _resolve(surrogate: MetaSurrogate | None, space: Space | None) -> MetaSurrogate:
    if surrogate is None:
        if space is None:
            raise SpaceError(
                "Give the sampler a search space, TNASSampler(space=NASBench201Space()), or a "
                'checkpoint, TNASSampler.load("meta.pt").'
            )
        return MetaSurrogate(space)
    return surrogate if space is None else surrogate.renamed(space)


def _retries(failed_trials: str) -> int:
    if failed_trials not in _N_RETRIES:
        raise OptunaTNASError(
            f"failed_trials cannot be {failed_trials!r}; give one of {sorted(_N_RETRIES)}."
        )
    return _N_RETRIES[failed_trials]


def _checked_count(name: str, number: object) -> int:
    if not isinstance(number, int | np.integer) or number < 0:
        raise OptunaTNASError(
            f"{name} cannot be {number!r}; give a whole number, 0 or more, or None."
        )
    return int(number)


def _entropy() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
