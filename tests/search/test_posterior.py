from __future__ import annotations

import pickle

import numpy as np
import torch

from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.posterior import StudyPosterior
from optuna_tnas.studies.observations import Observations
from tests.search.cases import Case


def study_of(case: Case) -> Observations:
    X = case.X[:8]
    return Observations(X, 10.0 + X.sum(axis=1), X[:0], X)


def test_listed_spaces_are_scored_whole_and_others_searched(
    small: Case, mobilenetv3_case: Case
) -> None:
    assert isinstance(StudyPosterior(small.surrogate, None).search(small.space), ExhaustiveSearch)
    assert isinstance(
        StudyPosterior(mobilenetv3_case.surrogate, None).search(mobilenetv3_case.space),
        EvolutionarySearch,
    )


def test_values_are_predicted_in_their_own_unit(small: Case) -> None:
    """A value of another unit and center is predicted in that unit, around that center."""
    posterior, study, rows = StudyPosterior(small.surrogate, None), study_of(small), small.X[4:12]
    mean, deviation = posterior.predict(study, rows, small.space)
    scaled = Observations(study.X, 256 * study.y + 64, study.pending, study.avoided)
    others = posterior.predict(scaled, rows, small.space)
    np.testing.assert_allclose(others[0], 256 * mean + 64, rtol=1e-6)
    np.testing.assert_allclose(others[1], 256 * deviation, rtol=1e-6)
    assert (deviation > 0).all()


def test_a_tried_row_is_predicted_better_than_a_far_one(small: Case) -> None:
    study = study_of(small)
    new = small.X[8:]
    posterior = StudyPosterior(small.surrogate, None)
    _, tried = posterior.predict(study, study.X, small.space)
    _, untried = posterior.predict(study, new, small.space)
    assert tried.max() < untried.max()


def test_the_same_trials_are_fitted_once(small: Case) -> None:
    posterior, study = StudyPosterior(small.surrogate, None), study_of(small)
    search = posterior.search(small.space)
    first = posterior.fit(search, study)
    assert posterior.fit(search, study_of(small)) is first
    other = Observations(study.X, study.y + study.X[:, 0], study.pending, study.avoided)
    assert posterior.fit(search, other) is not first


def test_without_a_past_nothing_is_predicted_before_trials(small: Case) -> None:
    predicted = StudyPosterior(small.surrogate, None).predict_from_past(
        [None], small.X[:3], small.space
    )
    assert predicted.shape == (3, 1)
    assert np.isnan(predicted).all() == (small.surrogate.past is None)


def test_a_copy_computes_the_same_anew(small: Case) -> None:
    posterior, study = StudyPosterior(small.surrogate, None), study_of(small)
    before = posterior.predict(study, small.X, small.space)
    copied = pickle.loads(pickle.dumps(posterior))
    assert vars(copied)["_fits"] == vars(copied)["_searches"] == {}
    for mine, theirs in zip(before, copied.predict(study, small.X, small.space), strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), torch.from_numpy(mine))
