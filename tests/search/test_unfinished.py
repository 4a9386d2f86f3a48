"""What a study's GPs are conditioned on where trials are unfinished."""

from __future__ import annotations

from dataclasses import replace
import logging

import numpy as np
import pytest

from optuna_tnas.search.unfinished import UnfinishedTrials
from optuna_tnas.studies.curves import Curve
from optuna_tnas.studies.curves import Curves
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.outcomes import scale_labels


def study_of(n: int, m: int, sign: float = 1.0) -> Observations:
    """``n`` completed and ``m`` unfinished trials, whose reports are the values times a sign."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(3, size=(n, 4)), rng.normal(size=n)
    told = Curves(
        X=rng.integers(3, size=(m, 4)),
        unfinished=[Curve({1: v}) for v in rng.normal(size=m).tolist()],
        completed=[Curve({1: v, 2: v}) for v in (sign * y).tolist()],
    )
    return Observations(X, y, X[:0], X, curves=told)


def test_completed_trials_come_first_without_noise_of_their_own() -> None:
    study = study_of(8, 5)
    found = UnfinishedTrials(True).outcomes(study, np.arange(8))
    assert study.curves is not None and found.noise is not None
    assert np.array_equal(found.X, np.concatenate([study.X, study.curves.X]))
    assert np.array_equal(found.y[:8], scale_labels(study.y))
    assert (found.noise[:8] == 0).all() and (found.noise[8:] > 0).all()


@pytest.mark.parametrize("curves", [True, False])
def test_what_is_not_considered_or_not_there_changes_nothing(curves: bool) -> None:
    study = study_of(8, 5)
    if not curves:
        study = replace(study, curves=None)
    found = UnfinishedTrials(not curves).outcomes(study, np.array([1, 4]))
    assert found.noise is None
    assert np.array_equal(found.X, study.X[[1, 4]])
    assert np.array_equal(found.y, scale_labels(study.y)[[1, 4]])


def test_how_many_unfinished_trials_count_is_bounded() -> None:
    found = UnfinishedTrials(True).outcomes(study_of(10, 2000), np.arange(10))
    assert len(found.X) == len(found.y) <= 10 + 256


def test_reports_in_the_other_direction_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    unfinished = UnfinishedTrials(True)
    with caplog.at_level(logging.WARNING, "optuna"):
        unfinished.outcomes(study_of(30, 5), np.arange(30))
        assert not caplog.records
        for _ in range(2):
            unfinished.outcomes(study_of(30, 5, sign=-1.0), np.arange(30))
    assert len(caplog.records) == 1
    assert "the other way around" in caplog.text
