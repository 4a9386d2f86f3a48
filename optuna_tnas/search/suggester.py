"""The next architecture of a study, from what the study holds."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from optuna_tnas.datasets import DatasetSample
from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.acquisition import AcquisitionName
from optuna_tnas.search.acquisition import Prediction
from optuna_tnas.search.candidates import agrees
from optuna_tnas.search.candidates import Candidates
from optuna_tnas.search.candidates import candidates_of
from optuna_tnas.search.candidates import fix
from optuna_tnas.search.candidates import Fixed
from optuna_tnas.spaces.rows import best
from optuna_tnas.spaces.rows import without
from optuna_tnas.studies.trials import Observations
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.past import start_size


class Suggester:
    """Suggests architectures of one space for one data set.

    Args:
        surrogate: The meta-learned or untrained prior.
        dataset: The data set that is searched on, if known.
        acquisition: ``"qei"``, ``"qlogei"`` or ``"ucb"``.
    """

    def __init__(
        self,
        surrogate: MetaSurrogate,
        dataset: DatasetSample | None,
        acquisition: AcquisitionName = "qei",
    ) -> None:
        self.surrogate = surrogate
        self._dataset = dataset
        self._acquisition: AcquisitionName = acquisition
        self._cached: Candidates | None = None

    @property
    def _candidates(self) -> Candidates:
        """Encoded at the first use: for a finite space this is the expensive part."""
        if self._cached is None:
            self._cached = candidates_of(self.surrogate, self._dataset)
        return self._cached

    def suggest(self, study: Observations, fixed: Fixed, rng: np.random.Generator) -> np.ndarray:
        """The next architecture, ``P`` int64.

        The first one is the best by what the past studies predict. If they disagree on what is
        good, architectures that cover them follow, from the warm-start set. If they predict
        nothing, the first few come from that set, or at random without one. The others maximize
        the acquisition function of the GPs on the study's trials.

        Args:
            study: What is known so far.
            fixed: Choices that are already made.
            rng: All randomness of this suggestion.
        """
        unused = self._unused(study, fixed)
        if self._is_beginning(study, len(unused)):
            return unused[0] if len(unused) else self._random(study, fixed, rng)
        if len(study.X) == 0:
            known, ranking = self.surrogate.warm_start, Prediction(self.surrogate.n_studies)
            return self._candidates.best(ranking, known, study.avoided, fixed, rng)
        start = best(study.X, study.y, 16)
        acquisition = self._acquire(study, int(rng.integers(1 << 30)))
        return self._candidates.best(acquisition, start, study.avoided, fixed, rng)

    def _is_beginning(self, study: Observations, n_unused: int) -> bool:
        """Whether the architecture comes from the warm-start set.

        Once a study has begun, so do those of workers that start together: the best by what the
        past predicts are all alike.
        """
        begun = len(study.X) + len(study.pending)
        if self.surrogate.past is None:
            return len(study.X) == 0 or begun < self.surrogate.config.n_warm_start
        return begun > 0 and (len(study.X) == 0 or (begun < self._n_start and n_unused > 0))

    @cached_property
    def _n_start(self) -> int:
        """Trials before the GP takes over, where there is a past."""
        surrogate = self.surrogate
        if len(surrogate.warm_start) == 0:
            return 1
        size = start_size(surrogate.predictions(surrogate.warm_start))
        return min(size, surrogate.config.n_warm_start)

    def _acquire(self, study: Observations, seed: int) -> Acquisition:
        """An acquisition function of the GPs on the study's trials."""
        y = torch.from_numpy(scale_labels(study.y))
        mixture = self._candidates.condition(study.X, y)
        pending = self._candidates.inputs(study.pending)
        return Acquisition(self._acquisition, mixture, pending, seed)

    def _unused(self, study: Observations, fixed: Fixed) -> np.ndarray:
        """``u x P`` of the warm-start set that are new and agree with ``fixed``, in order."""
        known = self.surrogate.warm_start
        if self.surrogate.past is not None:  # the best by its prediction stands for the first
            known = np.roll(known, -1, axis=0)
        return without(known[agrees(self.surrogate.space, known, fixed)], study.avoided)

    def _random(self, study: Observations, fixed: Fixed, rng: np.random.Generator) -> np.ndarray:
        """A random architecture, a new one if it can be."""
        space = self.surrogate.space
        drawn = fix(space, space.sample(256, rng), fixed)
        new = without(drawn, study.avoided)
        return np.asarray((new if len(new) else drawn)[0])
