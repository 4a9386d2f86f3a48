"""Why an architecture was tried, and what was expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal


Phase = Literal["past", "start", "random", "success", "acquisition", "enqueued", "other"]

# User attributes of a trial.
REASON, MEAN, STD = "tnas:reason", "tnas:mean", "tnas:std"

_MAX_NAME = 40  # characters of a past study's name


@dataclass(frozen=True)
class Belief:
    """What the model says of one architecture.

    Attributes:
        past: What the past studies together predict, in standard deviations of a past study's
            values above their middle, higher is better; None without a past.
        mean: Posterior mean of the objective, in its unit; None until trials have different
            values, which give the unit.
        std: Posterior standard deviation, without a trial's noise; None until then.
        no_past: Probability that the past studies say nothing of this one: the weight of the
            Gaussian process that takes nothing from them. 1 without a past.
        past_weight: Mean weight of their predictions if they say something: 1 takes them as they
            are, less than 0 turns them around. None without a past, or before a trial has a value.
        sources: How much each past study counts, by name: shares of the probability that the past
            studies say something, in proportion to the study's relevance for the data set times
            the size of the weight that the trials give it.
    """

    past: float | None
    mean: float | None
    std: float | None
    no_past: float
    past_weight: float | None
    sources: Mapping[str, float]


@dataclass(frozen=True)
class Explanation(Belief):
    """Why a trial's architecture was tried.

    Attributes:
        number: The trial's number.
        phase: ``"past"``: the best by the past studies' prediction. ``"start"``: from the set
            that covers the past studies. ``"random"``: drawn at random, since there was nothing
            else. ``"success"``: unlikely to fail as all trials before did, and the best so by
            the past studies' prediction.
            ``"acquisition"``: the best by the acquisition function. ``"enqueued"``: fixed
            by ``enqueue_trial``. ``"other"``: not suggested by this sampler.
        n_trials: Number of trials that had a value.
        acquisition: Value of the acquisition function for standardized objective values, running
            trials left aside; None before a trial has a value.
    """

    number: int
    phase: Phase
    n_trials: int
    acquisition: float | None = None

    @property
    def reason(self) -> str:
        """The phase and what it decided by, in at most 120 characters."""
        return f"{self.phase}: {self._details()}"

    @property
    def attributes(self) -> dict[str, str | float]:
        """What is written with a trial: :data:`REASON`, and :data:`MEAN` and :data:`STD`."""
        figures = {MEAN: self.mean, STD: self.std}
        finite = {name: x for name, x in figures.items() if x is not None and isfinite(x)}
        return {REASON: self.reason, **finite}

    def _details(self) -> str:
        if self.phase == "past":
            return f"the best that the past predicts ({self.past:+.2f} standard deviations)"
        if self.phase == "acquisition":
            return f"after {self.n_trials} trials; {self._past()}"
        return _DETAILS[self.phase]

    def _past(self) -> str:
        if not self.sources:
            return "no past"
        name = max(self.sources, key=self.sources.__getitem__)
        first = name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
        turned = ", turned around" if (self.past_weight or 0) < 0 else ""
        return f"past {1 - self.no_past:.0%}{turned} (most: {first}, {self.sources[name]:.0%})"


_DETAILS: Mapping[str, str] = {
    "start": "from the set that begins a search",
    "random": "nothing is known yet",
    "success": "unlikely to fail as all before",
    "enqueued": "fixed before it began",
    "other": "by another sampler",
}
