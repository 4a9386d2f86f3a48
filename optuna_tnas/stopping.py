"""MinImprovementCallback: end a search that is expected to gain no more."""

from __future__ import annotations

from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.experimental import warn_experimental
from optuna_tnas.sampler import TNASSampler
from optuna_tnas.studies import trials


class MinImprovementCallback:
    """Stops a study when the best new architecture is expected to improve it too little.

    What is compared is the sampler's expected improvement over the best completed trial::

        study.optimize(objective, callbacks=[MinImprovementCallback(sampler, 0.001)])

    Args:
        sampler: Has the space, what past studies taught and the data set.
        threshold: In the objective's unit, above 0; if None, the standard deviation of one
            training's noise as the sampler's model estimates it.
        n_min_trials: Completed trials before which a study is not stopped.

    Raises:
        OptunaTNASError: If the threshold is not above 0.
    """

    def __init__(
        self, sampler: TNASSampler, threshold: float | None = None, n_min_trials: int = 20
    ) -> None:
        warn_experimental("`MinImprovementCallback`")
        if threshold is not None and not threshold > 0:
            raise OptunaTNASError(
                f"threshold cannot be {threshold!r}; give a number above 0, or None for the "
                "noise of one training."
            )
        self._sampler, self._threshold = sampler, threshold
        self._n_min_trials = n_min_trials

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Stop the study if little is left to gain."""
        everything = trials.all_of(study)
        if sum(t.state == TrialState.COMPLETE for t in everything) < self._n_min_trials:
            return
        reader = self._sampler.reader
        left = reader.improvement_left(study, everything)
        threshold = self._threshold or reader.noise(study, everything)
        if left is not None and threshold is not None and left < threshold:
            study.stop()
