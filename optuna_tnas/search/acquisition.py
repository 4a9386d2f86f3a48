"""Rankings of candidates: by the past's prediction alone, or by an acquisition function."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args
from typing import Literal
from typing import Protocol
import warnings

from botorch.acquisition import AcquisitionFunction
from botorch.acquisition import ExpectedImprovement
from botorch.acquisition import LogExpectedImprovement
from botorch.acquisition import qExpectedImprovement
from botorch.acquisition import qLogExpectedImprovement
from botorch.acquisition import qUpperConfidenceBound
from botorch.acquisition import UpperConfidenceBound
from botorch.acquisition.monte_carlo import SampleReducingMCAcquisitionFunction
from botorch.exceptions.warnings import NumericsWarning
from botorch.utils.sampling import draw_sobol_normal_samples
import numpy as np
import torch
from torch import Tensor

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP


# Botorch advises against qEI for gradient-based search; candidates here are scored, not climbed.
warnings.filterwarnings("ignore", ".*ExpectedImprovement has known", NumericsWarning)

AcquisitionName = Literal["qei", "qlogei", "ucb"]

_N_SAMPLES = 128
_BETA = 4.0  # the upper confidence bound is about two standard deviations above the mean
CHUNK = 1 << 15  # candidates scored at a time
# Candidates whose joint value with the running trials is computed. A candidate adds at most its
# expected improvement alone, so one that ranks far down alone hardly ever leads jointly.
_SHORTLIST = 512
# Candidates with the highest bounds, whose true values rule most others out.
_LEAD = 64
_ROUNDING = 1e-6  # relative error of values


@dataclass(frozen=True)
class _Kind:
    """One acquisition function in two forms, and its mean over GPs.

    Attributes:
        closed_form: Of one candidate, under a GP, beside the best value so far.
        monte_carlo: Of candidates that are evaluated together, of draws of their values.
        mean: ``n x G`` values under G GPs, ``G`` probabilities -> ``n``.
        limited: ``n`` values, ``n`` log probabilities of feasibility -> ``n``.
        of_best: Whether, in each draw, only the best of those evaluated together counts.
    """

    closed_form: Callable[[StudyGP, Tensor], AcquisitionFunction]
    monte_carlo: Callable[[StudyGP, Tensor], SampleReducingMCAcquisitionFunction]
    mean: Callable[[Tensor, Tensor], Tensor] = torch.matmul
    limited: Callable[[Tensor, Tensor], Tensor] = torch.add
    of_best: bool = False


_KINDS: Mapping[str, _Kind] = {
    "qei": _Kind(
        ExpectedImprovement,
        qExpectedImprovement,
        limited=lambda values, log_probability: values * log_probability.exp(),
        of_best=True,
    ),
    "qlogei": _Kind(
        LogExpectedImprovement,
        qLogExpectedImprovement,
        lambda values, probabilities: torch.logsumexp(values + probabilities.log(), dim=1),
    ),
    "ucb": _Kind(
        lambda gp, best: UpperConfidenceBound(gp, _BETA),
        lambda gp, best: qUpperConfidenceBound(gp, _BETA),
    ),
}


def check_acquisition(name: str) -> None:
    """Raise :class:`OptunaTNASError` unless ``name`` is an acquisition."""
    if name not in get_args(AcquisitionName):
        raise OptunaTNASError(
            f"There is no acquisition {name!r}; choose one of {get_args(AcquisitionName)}."
        )


class Limits(Protocol):
    """What is known of constraints that are measured with the objective."""

    @property
    def feasible(self) -> Tensor:
        """``n`` bool, which of the trials that the GPs are on are feasible."""

    def log_probability(self, x: Tensor) -> Tensor:
        """Log probability that ``n x d`` inputs are feasible: ``n``."""


class Ranking(Protocol):
    """Ranks candidates."""

    def values(self, x: Tensor) -> Tensor:
        """``n x d`` inputs -> ``n`` values, higher is better."""

    def best(self, x: Tensor, allowed: np.ndarray) -> int:
        """Choose one of ``m`` ascending positions of the ``n x d`` candidates ``x``."""


class PriorMean:
    """Ranks candidates by what the past predicts, while there are no trials.

    Args:
        prior_mean: ``n x d`` inputs -> ``n`` predictions.
    """

    def __init__(self, prior_mean: Callable[[Tensor], Tensor]) -> None:
        self.values = prior_mean

    def best(self, x: Tensor, allowed: np.ndarray) -> int:
        """Choose the first of the best."""
        return _first_best(self.values(x), allowed)


class LimitedPriorMean:
    """Ranks candidates while all trials failed.

    By what the past predicts, in standard deviations, plus the log probability that they do not
    fail.

    Args:
        prior_mean: ``n x d`` inputs -> ``n`` predictions.
        limits: What is known of failures.
    """

    def __init__(self, prior_mean: Callable[[Tensor], Tensor], limits: Limits) -> None:
        self._prior_mean, self._limits = prior_mean, limits

    @torch.no_grad()
    def values(self, x: Tensor) -> Tensor:
        """Score ``n x d`` candidates: ``n``."""
        return self._prior_mean(x) + self._limits.log_probability(x)

    def best(self, x: Tensor, allowed: np.ndarray) -> int:
        """Choose the first of the best."""
        return _first_best(self.values(x), allowed)


class Acquisition:
    """Ranks candidates by an acquisition function, averaged over GPs with their probabilities.

    For expected improvement this is exactly the expected improvement under the mixture.

    Args:
        name: ``"qei"``, ``"qlogei"`` or ``"ucb"``.
        mixture: The GPs on the study's trials.
        pending: ``p x d`` inputs of the running trials, p >= 0.
        seed: Seed of the quasi-random draws from the posterior.
        limits: Constraints that are measured with the objective; none unless given. Until a trial
            is feasible, candidates rank by the probability that they are.
        n_completed: How many of the trials, the first ones, were completed; all unless given.
    """

    def __init__(
        self,
        name: AcquisitionName,
        mixture: Mixture,
        pending: Tensor,
        seed: int,
        limits: Limits | None = None,
        n_completed: int | None = None,
    ) -> None:
        self._kind = _KINDS[name]
        self._n_completed = n_completed
        self._mixture = mixture
        self._pending = pending
        self._seed = seed
        self._limits = limits
        self._alone = [self._kind.closed_form(gp, self._incumbent(gp)) for gp in mixture.gps]

    @property
    def mixture(self) -> Mixture:
        """The GPs on the study's trials."""
        return self._mixture

    def _incumbent(self, gp: StudyGP) -> Tensor:
        """The best feasible value so far, or the best one of all."""
        values: Tensor = gp.train_targets[: self._n_completed]
        if self._limits is not None and self._limits.feasible.any():
            values = values[self._limits.feasible]
        return values.max()

    def values(self, x: Tensor) -> Tensor:
        """Score ``n x d`` candidates in closed form, running trials left aside: ``n``."""
        return self._limited(self._mean(self._alone, x.unsqueeze(-2)), x)

    @torch.no_grad()
    def _limited(self, values: Tensor, x: Tensor) -> Tensor:
        """Weigh ``n`` values by the probability that the candidates are feasible."""
        if self._limits is None:
            return values
        log_probability = self._limits.log_probability(x)
        if not self._limits.feasible.any():
            return log_probability
        return self._kind.limited(values, log_probability)

    def best(self, x: Tensor, allowed: np.ndarray) -> int:
        """Choose the candidate with the highest value, running trials being pending.

        Candidates whose upper bound is below another's value are ruled out, the others are
        scored in closed form, which the Monte Carlo value of one candidate estimates. If trials
        are running, the best are then scored jointly with them. Ties go to the higher posterior
        mean, then to the first.

        Args:
            x: ``n x d`` candidates, all of them, so that what is kept of them is used.
            allowed: ``m`` ascending positions, m >= 1.
        """
        rows = torch.from_numpy(allowed)
        bounds = self._bounds(x)[rows]
        if len(self._pending) == 0:
            rows = rows[self._contenders(x, rows, bounds)]
            return self._first_best(x, rows, self.values(x[rows]))
        rows = rows[highest(bounds, 4 * _SHORTLIST)]
        rows = rows[highest(self.values(x[rows]), _SHORTLIST)]
        return self._first_best(x, rows, self._joint_values(x[rows]))

    def _bounds(self, x: Tensor) -> Tensor:
        """Upper bounds of the values: ``n x d`` -> ``n``."""
        optimistic = [
            self._kind.closed_form(gp.optimistic(), self._incumbent(gp))
            for gp in self._mixture.gps
        ]
        return self._limited(self._mean(optimistic, x.unsqueeze(-2)), x)

    def _contenders(self, x: Tensor, rows: Tensor, bounds: Tensor) -> Tensor:
        """Find the rows that may have the highest value: ``m`` bool, at least one."""
        lead = highest(bounds, _LEAD)
        leading = self.values(x[rows[lead]]).max()
        contenders = bounds >= leading - _ROUNDING * leading.abs()
        contenders[lead] = True
        return contenders

    def _joint_values(self, x: Tensor) -> Tensor:
        """Score each of ``n x d`` candidates together with the running trials: ``n``.

        Their draws from the posterior are the same for all candidates: that noise would drown what
        a candidate adds.
        """
        normal = draw_sobol_normal_samples(
            len(self._pending) + 1, _N_SAMPLES, dtype=x.dtype, seed=self._seed
        )
        joint = [self._joint_value(gp, x, normal) for gp in self._mixture.gps]
        return self._limited(self._mean_over_gps(joint), x)

    def _joint_value(self, gp: StudyGP, x: Tensor, normal: Tensor) -> Tensor:
        """Score each of ``n x d`` candidates together with the running trials, under a GP: ``n``.

        Args:
            gp: The GP.
            x: The candidates.
            normal: ``S x (p + 1)`` draws of mean 0 and variance 1.
        """
        drawn, means, variance = gp.given(self._pending, x, normal[:, :-1])
        own = means + normal[:, -1:] * variance.sqrt()
        if self._kind.of_best:
            drawn = drawn.max(dim=1, keepdim=True).values
        together = torch.cat([drawn[:, None].expand(-1, len(x), -1), own[..., None]], dim=-1)
        function = self._kind.monte_carlo(gp, self._incumbent(gp))
        gains = function._q_reduction(function._sample_forward(together))
        values: Tensor = function._sample_reduction(gains)
        return values

    def _first_best(self, x: Tensor, rows: Tensor, values: Tensor) -> int:
        ties = rows[values == values.max()]
        if len(ties) == 1:
            return int(ties[0])
        with torch.no_grad():
            return int(ties[self._mixture.mean(x[ties]).argmax()])

    @torch.no_grad()
    def _mean(self, functions: Sequence[AcquisitionFunction], X: Tensor) -> Tensor:
        """Average a function under each of the GPs: ``n x q x d`` -> ``n``."""
        return self._mean_over_gps([_evaluate(function, X) for function in functions])

    def _mean_over_gps(self, each: Sequence[Tensor]) -> Tensor:
        """Average ``n`` values under each of the GPs: ``n``."""
        values = torch.stack([*each], dim=1)
        return self._kind.mean(values, self._mixture.probabilities.to(values))


def _first_best(values: Tensor, allowed: np.ndarray) -> int:
    """Find the first of the highest of ``n`` values at ``m`` ascending positions."""
    return int(allowed[values.numpy()[allowed].argmax()])


def highest(values: Tensor, n: int) -> Tensor:
    """Ascending positions of the ``n`` highest values, or of all."""
    return values.topk(min(n, len(values))).indices.sort().values


def _evaluate(acquisition: AcquisitionFunction, X: Tensor) -> Tensor:
    """``n x q x d`` -> ``n``."""
    size = max(1, CHUNK // X.shape[-2])
    return torch.cat([acquisition(chunk) for chunk in X.split(size)])
