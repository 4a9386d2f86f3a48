"""The probability of feasibility against draws, and what it does to the acquisition."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch

from optuna_tnas import MetaSurrogate
from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.search.acquisition import AcquisitionName
from optuna_tnas.search.acquisition import LimitedPriorMean
from optuna_tnas.search.helped import HelpedMetrics
from optuna_tnas.search.measured import Feasibility
from optuna_tnas.search.measured import fit_constraints
from optuna_tnas.search.measured import MAX_FAILED
from optuna_tnas.search.measured import MeasuredConstraint
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.gp import StudyGP
from tests.search.test_acquisition import NO_PENDING
from tests.search.test_acquisition import random_gp
from tests.search.test_acquisition import random_latents
from tests.search.test_acquisition import random_mixture
from tests.small_config import SMALL


Z = random_latents(60, seed=100)
UNTRAINED = HelpedMetrics(MetaSurrogate(CellSpace([Node("a", ["u", "v"])]), SMALL), [])
FEW = torch.tensor([True, False, False, True, False, True, False, False, False, False])


def feasibility(feasible: torch.Tensor = FEW) -> Feasibility:
    mixtures = [random_mixture(10, seed=1), Mixture(random_gp(10, seed=2))]
    constraints = [
        MeasuredConstraint(m, limit) for m, limit in zip(mixtures, (0.3, -0.5), strict=True)
    ]
    return Feasibility(feasible, constraints)


def drawn(gp: StudyGP, limit: float) -> torch.Tensor:
    posterior = gp.posterior(Z.unsqueeze(-2))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, len(Z), generator=generator, dtype=torch.double)
    draws = posterior.mean.flatten() + posterior.variance.sqrt().flatten() * noise
    return (draws >= limit).double().mean(dim=0)


def test_probability_is_the_share_of_draws_that_meet_all_constraints() -> None:
    known = feasibility()
    expected = torch.ones(len(Z)).double()
    for constraint in known.constraints:
        mixture = constraint.mixture
        shares = torch.stack([drawn(gp, constraint.limit) for gp in mixture.gps])
        expected *= mixture.probabilities @ shares
    torch.testing.assert_close(known.log_probability(Z).exp(), expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("name", get_args(AcquisitionName))
def test_values_are_weighed_by_the_probability(name: AcquisitionName) -> None:
    """Beside the best feasible value: the infeasible trials' are lowered, which no GP sees."""
    mixture, known = Mixture(random_gp(10, seed=0)), feasibility()
    values = Acquisition(name, mixture, NO_PENDING, 0, known).values(Z)
    gp = mixture.gps[0]
    gp.train_targets = torch.where(FEW, gp.train_targets, -9.0)
    alone = Acquisition(name, mixture, NO_PENDING, 0).values(Z)
    log_probability = known.log_probability(Z)
    expected = alone * log_probability.exp() if name == "qei" else alone + log_probability
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("name", get_args(AcquisitionName))
@pytest.mark.parametrize("n_pending", [0, 3])
def test_until_a_trial_is_feasible_the_most_probable_one_is_chosen(
    name: AcquisitionName, n_pending: int
) -> None:
    known = feasibility(torch.zeros(10, dtype=torch.bool))
    acquisition = Acquisition(name, random_mixture(10, seed=0), Z[:n_pending], 0, known)
    assert acquisition.best(Z, np.arange(len(Z))) == int(known.log_probability(Z).argmax())


@pytest.mark.parametrize("name", get_args(AcquisitionName))
def test_the_best_has_the_highest_value(name: AcquisitionName) -> None:
    acquisition = Acquisition(name, random_mixture(10, seed=0), NO_PENDING, 0, feasibility())
    assert acquisition.best(Z, np.arange(len(Z))) == int(acquisition.values(Z).argmax())


# --- from a study's trials ------------------------------------------------------------------


class _Search:
    """Fits GPs on latents that the rows themselves are, and keeps what it was given."""

    def __init__(self) -> None:
        self.fitted: list[tuple[np.ndarray, torch.Tensor]] = []
        self.metrics: list[int | None] = []

    def fit(self, X: np.ndarray, y: torch.Tensor, metric: int | None) -> object:
        self.fitted.append((X, y))
        self.metrics.append(metric)
        return SimpleNamespace(y=y)


def study(**constraints: list[float]) -> Observations:
    X = np.arange(8).reshape(4, 2)
    arrays = {name: np.array(values) for name, values in constraints.items()}
    return Observations(X, np.array([4.0, 3.0, 2.0, 1.0]), X[:0], X, arrays)


def test_a_constraint_is_met_where_its_scaled_value_reaches_the_limit() -> None:
    search, values = _Search(), [3.0, -1.0, 0.0, -2.5]
    known = fit_constraints(search, study(ms=values), np.arange(4), UNTRAINED)
    assert known is not None
    [(X, y)], [constraint] = search.fitted, known.constraints
    assert len(X) == 4
    assert (y.numpy() >= constraint.limit).tolist() == [v <= 0 for v in values]
    assert known.feasible.tolist() == [False, True, True, True]


def test_trials_that_lack_a_constraint_say_nothing_of_it() -> None:
    search = _Search()
    nothing = [np.nan] * 4
    known = fit_constraints(
        search, study(a=[1.0, np.nan, np.nan, -1.0], b=nothing), np.arange(4), UNTRAINED
    )
    assert known is not None
    [(X, _)] = search.fitted
    assert X.tolist() == [[0, 1], [6, 7]]
    assert known.feasible.tolist() == [False, True, True, True]
    assert fit_constraints(search, study(b=nothing), np.arange(4), UNTRAINED) is None
    assert fit_constraints(search, study(), np.arange(4), UNTRAINED) is None


@pytest.mark.parametrize("huge", [np.inf, -np.inf, 1e300, -1e300])
def test_huge_values_leave_the_others_apart(huge: float) -> None:
    search = _Search()
    known = fit_constraints(search, study(a=[huge, 1.0, -1.0, 2.0]), np.arange(4), UNTRAINED)
    assert known is not None
    assert torch.isfinite(search.fitted[0][1]).all()


def test_a_past_of_its_name_helps_a_constraint() -> None:
    search, surrogate = _Search(), MetaSurrogate(CellSpace([Node("a", ["u", "v"])]), SMALL)
    surrogate.metrics = ("accuracy", "ms")
    both = study(ms=[3.0, -1.0, 0.0, -2.5], watts=[1.0, -1.0, 2.0, 0.0])
    fit_constraints(search, both, np.arange(4), HelpedMetrics(surrogate, []))
    assert search.metrics == [1, None]


def failing(y: list[float], n_failed: int) -> Observations:
    rows = np.arange(2 * (len(y) + n_failed)).reshape(-1, 2)
    X, failed = rows[: len(y)], rows[len(y) :]
    return Observations(X, np.array(y), X[:0], rows, failed=failed)


@pytest.mark.parametrize(("n", "n_failed"), [(4, 1), (1, 4), (40, 1), (0, 3), (0, 1)])
def test_failures_are_a_constraint_that_completed_trials_meet(n: int, n_failed: int) -> None:
    search, data = _Search(), failing([1.0] * n, n_failed)
    known = fit_constraints(search, data, np.arange(n), UNTRAINED)
    assert known is not None
    [(X, y)], [constraint] = search.fitted, known.constraints
    met = y.numpy() > constraint.limit
    assert np.array_equal(X[met], data.X)
    assert np.array_equal(X[~met], data.failed)
    assert known.feasible.tolist() == n * [True]


def test_failures_come_beside_the_other_constraints_and_the_latest_count() -> None:
    search = _Search()
    rows = np.arange(600).reshape(-1, 2)
    both = replace(study(ms=[3.0, -1.0, 0.0, -2.5]), failed=rows)
    known = fit_constraints(search, both, np.array([1, 3]), UNTRAINED)
    assert known is not None
    assert known.feasible.tolist() == [True, True]
    assert [len(X) for X, _ in search.fitted] == [2, MAX_FAILED + 2]
    assert np.array_equal(search.fitted[1][0], [*rows[-MAX_FAILED:], *both.X[[1, 3]]])


def test_where_all_failed_the_past_and_the_probability_not_to_add_up() -> None:
    known, allowed = feasibility(), np.arange(5, 60, 2)
    ranking = LimitedPriorMean(lambda x: x[:, 0], known)
    values = Z[:, 0] + known.log_probability(Z)
    torch.testing.assert_close(ranking.values(Z), values)
    assert ranking.best(Z, allowed) == allowed[values[allowed].argmax()]
    assert not ranking.values(Z).requires_grad


def test_many_candidates_are_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = feasibility()
    whole = known.log_probability(Z)
    monkeypatch.setattr("optuna_tnas.search.measured.CHUNK", 7)
    torch.testing.assert_close(known.log_probability(Z), whole)


def test_merit_puts_feasible_trials_first_and_then_those_that_violate_least() -> None:
    assert study().merit.tolist() == [4, 3, 2, 1]
    limited = study(a=[2.0, 0.5, -1.0, 0.0], b=[-1.0, 0.0, -1.0, np.nan])
    assert limited.feasible.tolist() == [False, False, True, True]
    assert np.argsort(-limited.merit).tolist() == [2, 3, 1, 0]
