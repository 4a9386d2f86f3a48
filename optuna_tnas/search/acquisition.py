"""The candidate with the best acquisition value, running trials being pending."""

from __future__ import annotations

from collections.abc import Sequence
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
from botorch.exceptions.warnings import NumericsWarning
from botorch.sampling import SobolQMCNormalSampler
import numpy as np
import torch
from torch import Tensor

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import predictions


# Botorch advises against qEI for gradient-based search; candidates here are scored, not climbed.
warnings.filterwarnings("ignore", ".*ExpectedImprovement has known", NumericsWarning)

AcquisitionName = Literal["qei", "qlogei", "ucb"]

_N_SAMPLES = 128
_BETA = 4.0  # the upper confidence bound is about two standard deviations above the mean
_CHUNK = 2048  # their covariances with the trials stay in the processor's cache
# Candidates whose joint value with the running trials is computed. A candidate adds at most its
# expected improvement alone, so one that ranks far down alone hardly ever leads jointly.
_SHORTLIST = 512
# Candidates with the highest bounds, whose true values rule most others out.
_LEAD = 64
_ROUNDING = 1e-6  # of values, relative


def check_acquisition(name: str) -> None:
    """Raises :class:`OptunaTNASError` unless ``name`` is an acquisition."""
    if name not in get_args(AcquisitionName):
        raise OptunaTNASError(
            f"There is no acquisition {name!r}; choose one of {get_args(AcquisitionName)}."
        )


class Ranking(Protocol):
    """Ranks candidates."""

    def values(self, Z: Tensor) -> Tensor:
        """``n x d`` inputs -> ``n`` values, higher is better."""

    def best(self, Z: Tensor, allowed: np.ndarray) -> int:
        """Position of the best of ``n x d`` candidates, at ``m`` ascending positions."""


class Prediction:
    """Ranks candidates by what the past predicts, while there is nothing else to go by.

    Args:
        n_studies: How many of an input's last columns are past studies' predictions.
    """

    def __init__(self, n_studies: int) -> None:
        self._n_studies = n_studies

    def values(self, Z: Tensor) -> Tensor:
        """The sum of the predictions."""
        return predictions(Z, self._n_studies).sum(dim=-1)

    def best(self, Z: Tensor, allowed: np.ndarray) -> int:
        """The first of the best."""
        return int(allowed[self.values(Z).numpy()[allowed].argmax()])


class Acquisition:
    """Ranks candidates under fitted GPs: by the mean of their values, with their probabilities.

    That of improvements is the expected improvement under the mixture.

    Args:
        name: ``"qei"``, ``"qlogei"`` or ``"ucb"``.
        mixture: The GPs on the study's trials.
        pending: ``p x d`` inputs of the running trials, p >= 0.
        seed: Of the quasi-random draws from the posterior.
    """

    def __init__(
        self, name: AcquisitionName, mixture: Mixture, pending: Tensor, seed: int
    ) -> None:
        self._mixture = mixture
        self._name = name
        self._alone = [_closed_form(name, gp) for gp in mixture.gps]
        self._joint = [_monte_carlo(name, gp, seed) for gp in mixture.gps]
        self._pending = pending

    def values(self, Z: Tensor) -> Tensor:
        """``n x d`` inputs -> ``n`` closed-form values, running trials left aside."""
        return self._mean(self._alone, Z.unsqueeze(-2))

    def best(self, Z: Tensor, allowed: np.ndarray) -> int:
        """Position of the best of ``n x d`` candidates, running trials being pending.

        Every candidate is scored in closed form: what the Monte Carlo value of one candidate
        estimates, or has a bound that rules it out. If trials are running, the best are then
        scored jointly with them. Ties go to the higher posterior mean, then to the first.

        Args:
            Z: All candidates, so that what is remembered of them is used.
            allowed: ``m`` ascending positions, m >= 1.
        """
        rows = torch.from_numpy(allowed)
        if len(self._pending) > 0:
            shortlist = self._highest(self.values(Z)[rows], _SHORTLIST)
            rows = rows[shortlist]
            return self._first_best(Z, rows, self._joint_values(Z[rows]))
        rows = rows[self._contend(Z, rows)]
        return self._first_best(Z, rows, self.values(Z[rows]))

    def _contend(self, Z: Tensor, rows: Tensor) -> Tensor:
        """Which of the ``m`` rows may have the highest value: ``m`` bool, at least one.

        The others' values, even under the optimistic GPs, are below the true value of one.
        """
        bounds = [_closed_form(self._name, gp.optimistic()) for gp in self._mixture.gps]
        most = self._mean(bounds, Z.unsqueeze(-2))[rows]
        lead = self._highest(most, _LEAD)
        highest = self.values(Z[rows[lead]]).max()
        contend = most >= highest - _ROUNDING * highest.abs()
        contend[lead] = True
        return contend

    @staticmethod
    def _highest(values: Tensor, n: int) -> Tensor:
        return values.topk(min(n, len(values))).indices.sort().values

    def _joint_values(self, Z: Tensor) -> Tensor:
        """``n x d`` -> ``n``: the value of each candidate together with the running trials.

        Those come first. As botorch's ``X_pending`` they would follow the candidate, their draws
        from the posterior would differ between candidates, and that noise would drown what a
        candidate adds.
        """
        pending = self._pending.expand(len(Z), -1, -1)
        return self._mean(self._joint, torch.cat([pending, Z.unsqueeze(-2)], dim=-2))

    def _first_best(self, Z: Tensor, rows: Tensor, values: Tensor) -> int:
        ties = rows[values == values.max()]
        if len(ties) == 1:
            return int(ties[0])
        with torch.no_grad():
            return int(ties[self._mixture.mean(Z[ties]).argmax()])

    @torch.no_grad()
    def _mean(self, functions: Sequence[AcquisitionFunction], X: Tensor) -> Tensor:
        """Over the GPs, of a function of each: ``n x q x d`` -> ``n``."""
        values = torch.stack([_evaluate(function, X) for function in functions], dim=1)
        probabilities = self._mixture.probabilities.to(values)
        if self._name == "qlogei":
            return torch.logsumexp(values + probabilities.log(), dim=1)
        return values @ probabilities


def _closed_form(name: AcquisitionName, gp: StudyGP) -> AcquisitionFunction:
    if name == "ucb":
        return UpperConfidenceBound(gp, _BETA)
    improvement = ExpectedImprovement if name == "qei" else LogExpectedImprovement
    return improvement(gp, gp.train_targets.max())


def _monte_carlo(name: AcquisitionName, gp: StudyGP, seed: int) -> AcquisitionFunction:
    sampler = SobolQMCNormalSampler(torch.Size([_N_SAMPLES]), seed=seed)
    if name == "ucb":
        return qUpperConfidenceBound(gp, _BETA, sampler)
    improvement = qExpectedImprovement if name == "qei" else qLogExpectedImprovement
    return improvement(gp, gp.train_targets.max(), sampler)


def _evaluate(acquisition: AcquisitionFunction, X: Tensor) -> Tensor:
    """``n x q x d`` -> ``n``."""
    return torch.cat([acquisition(chunk) for chunk in X.split(_CHUNK)])
