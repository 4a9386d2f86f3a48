"""The next architecture, from the first trial to the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.informative import informative
from optuna_tnas.search.posterior import StudyPosterior
from optuna_tnas.search.suggester import Suggester
from optuna_tnas.studies.observations import Observations
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.past import PastStudies


WARM_START = np.array([[1, 2, 3], [3, 3, 3], [0, 1, 2], [2, 2, 2], [1, 1, 1], [3, 2, 1]])


def suggester_of(surrogate: MetaSurrogate, *args: Any) -> Suggester:
    return Suggester(StudyPosterior(surrogate, None, *args))


@pytest.fixture
def surrogate(surrogate_of: Callable[[str], MetaSurrogate]) -> MetaSurrogate:
    surrogate = surrogate_of("small")
    surrogate.warm_starts = (WARM_START,)
    return surrogate


def study(
    X: np.ndarray, y: np.ndarray | None = None, pending: np.ndarray | None = None
) -> Observations:
    X = np.asarray(X, dtype=np.int64).reshape(-1, 3)
    running = X[:0] if pending is None else np.asarray(pending, dtype=np.int64).reshape(-1, 3)
    values = X.sum(axis=1).astype(float) if y is None else y
    return Observations(X, values, running, np.concatenate([X, running]))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_begins_with_the_warm_start_in_order(surrogate: MetaSurrogate) -> None:
    suggester = suggester_of(surrogate)
    for n in range(5):
        assert (suggester.suggest(study(WARM_START[:n]), {}, rng()) == WARM_START[n]).all()


def test_warm_start_ends_after_the_configured_number(surrogate: MetaSurrogate) -> None:
    assert surrogate.config.n_warm_start == 5
    others = np.array([[0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 3, 0], [0, 2, 0]])
    y = np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    rows = [suggester_of(surrogate).suggest(study(others, s * y), {}, rng()) for s in (1, -1)]
    assert (rows[0] != rows[1]).any()  # so it is the values that decide


def test_running_trials_take_their_share_of_the_warm_start(surrogate: MetaSurrogate) -> None:
    suggester = suggester_of(surrogate)
    for n in range(6):  # none completed yet: nothing but the warm start is known
        row = suggester.suggest(study([], pending=WARM_START[:n]), {}, rng())
        assert (row == WARM_START[n]).all()


@pytest.fixture
def informed(surrogate: MetaSurrogate) -> MetaSurrogate:
    """Predicts more, the higher the choices are."""
    X = surrogate.space.sample(40, np.random.default_rng(0))
    studies = [(X, X.sum(axis=1).astype(float), None)]
    surrogate.past = PastStudies.fit(surrogate.network, surrogate.structure, studies)
    surrogate.warm_starts = (WARM_START[[1, 0, 2, 3, 4, 5]],)
    return surrogate


@pytest.fixture
def divided(informed: MetaSurrogate) -> MetaSurrogate:
    """One study predicts more, the higher the choices are; the other, the lower they are."""
    assert informed.past is not None
    X, alpha = informed.past.X, informed.past.alpha
    informed.past = PastStudies(
        X=np.concatenate([X, X]),
        study_index=np.repeat([0, 1], 40),
        dataset_encodings=informed.past.dataset_encodings.repeat(2, 1),
        alpha=torch.cat([alpha, -alpha], dim=1),
    )
    informed.warm_starts = (np.array([[3, 3, 3], [0, 0, 1], [2, 2, 2], [1, 1, 1]]),)
    return informed


def test_begins_with_the_best_by_what_the_past_predicts(informed: MetaSurrogate) -> None:
    everything = informed.space.enumerate()
    row = suggester_of(informed).suggest(study([]), {}, rng())
    search = ExhaustiveSearch(informed.space, informed.study_model(None))
    predicted = [search.prior_mean(search.inputs(X), 0) for X in (row[None], everything)]
    assert predicted[0].item() == predicted[1].max().item()
    assert row.sum() >= 7
    fixed = suggester_of(informed).suggest(study([]), {0: 1}, rng())
    assert fixed[0] == 1 and fixed[1:].sum() >= 4


def test_one_trial_is_enough_to_go_on_from(informed: MetaSurrogate) -> None:
    suggester = suggester_of(informed)
    X = np.array([[3, 3, 3]])
    row = suggester.suggest(study(X), {}, rng())
    assert (row != X[0]).any()
    assert row.sum() >= 5  # the past still counts


def test_while_all_failed_the_past_and_the_failures_decide(informed: MetaSurrogate) -> None:
    """Networks whose last choice is the highest fail."""
    suggester, everything = suggester_of(informed), informed.space.enumerate()
    failed = np.empty((0, 3), dtype=np.int64)
    while len(failed) == 0 or failed[-1, 2] == 3:
        data = replace(study([]), avoided=failed, failed=failed)
        decision = suggester.decide(data, {}, rng())
        assert decision.phase == ("success" if len(failed) else "past")
        failed = np.concatenate([failed, decision.row[None]])
    *first, last = failed
    assert 1 <= len(first) <= 6
    assert last.sum() > everything.sum(axis=1).mean()  # the past still counts


def test_failures_count_among_those_that_begin(informed: MetaSurrogate) -> None:
    data = study([[1, 0, 2]])
    informed.past = None
    phases = []
    for n in range(6):
        begun = replace(data, failed=np.array(n * [[3, 3, 3]]).reshape(-1, 3))
        phases.append(suggester_of(informed).phase(begun, {}, rng(), informed.space)[0])
    assert phases == ["start"] * 4 + ["acquisition"] * 2


def test_workers_that_start_together_take_the_warm_start_set(informed: MetaSurrogate) -> None:
    suggester = suggester_of(informed)
    first = suggester.suggest(study([]), {}, rng())
    second = suggester.suggest(study([], pending=first), {}, rng())
    assert (second == informed.warm_starts[0][1]).all()
    third = suggester.suggest(study([], pending=np.stack([first, second])), {}, rng())
    assert (third == informed.warm_starts[0][2]).all()


def test_studies_that_disagree_are_covered_before_the_trials_decide(
    divided: MetaSurrogate,
) -> None:
    suggester = suggester_of(divided)
    X = np.array([[3, 2, 3]])
    assert suggester.suggest(study(X), {}, rng()).tolist() == [0, 0, 1]
    assert suggester.suggest(study(X), {0: 3}, rng()).tolist() == [3, 3, 3]  # new, and agrees
    decided = np.array([[3, 2, 3], [0, 0, 1]])
    assert suggester.suggest(study(decided), {}, rng()).sum() >= 5
    assert suggester.suggest(study(X), {0: 1, 1: 3}, rng()).tolist()[:2] == [1, 3]


@pytest.mark.parametrize(("share", "phase"), [(1, "start"), (1 / 3, "start"), (1 / 7, "random")])
def test_the_start_is_left_to_others_that_are_enough_to_take_it(
    surrogate: MetaSurrogate, share: float, phase: str
) -> None:
    assert suggester_of(surrogate).decide(study([]), {}, rng(), share=share).phase == phase


@pytest.mark.parametrize(("share", "phase"), [(1, "start"), (1 / 7, "acquisition")])
def test_trials_decide_where_others_take_the_start(
    divided: MetaSurrogate, share: float, phase: str
) -> None:
    data = study([[3, 2, 3]])
    assert suggester_of(divided).decide(data, {}, rng(), share=share).phase == phase


def test_no_more_are_tried_than_configured(divided: MetaSurrogate) -> None:
    divided.config = replace(divided.config, n_warm_start=1)
    row = suggester_of(divided).suggest(study([[3, 2, 3]]), {}, rng())
    divided.warm_starts = (divided.warm_starts[0][:0],)
    without = suggester_of(divided).suggest(study([[3, 2, 3]]), {}, rng())
    assert row.tolist() == without.tolist() != [0, 0, 1]


def test_a_past_that_is_wrong_does_not_stop_the_search(informed: MetaSurrogate) -> None:
    suggester = suggester_of(informed)
    X = WARM_START[:0]
    for _ in range(25):
        row = suggester.suggest(study(X, -X.sum(axis=1).astype(float)), {}, rng())
        X = np.concatenate([X, row[None]])
    assert X.sum(axis=1).min() <= 1


def test_begins_at_random_when_nothing_was_learned(surrogate: MetaSurrogate) -> None:
    surrogate.warm_starts = (WARM_START[:0],)
    suggester = suggester_of(surrogate)
    rows = {tuple(suggester.suggest(study([]), {}, np.random.default_rng(i))) for i in range(30)}
    assert len(rows) > 15


def test_first_ones_have_the_fixed_choices(surrogate: MetaSurrogate) -> None:
    suggester = suggester_of(surrogate)
    assert suggester.suggest(study([]), {0: 3}, rng()).tolist() == [3, 3, 3]
    assert suggester.suggest(study([]), {0: 0, 1: 0}, rng())[:2].tolist() == [0, 0]


def test_suggests_nothing_twice_until_the_space_is_exhausted(surrogate: MetaSurrogate) -> None:
    suggester = suggester_of(surrogate)
    X = np.random.default_rng(0).permutation(surrogate.space.enumerate())[:48]
    for i in range(16):
        row = suggester.suggest(study(X), {}, np.random.default_rng(i))
        X = np.concatenate([X, row[None]])
    assert len(np.unique(X, axis=0)) == 64
    again = suggester.suggest(study(X), {}, rng())
    assert again.shape == (3,)


def test_running_ones_are_neither_repeated_nor_ignored(surrogate: MetaSurrogate) -> None:
    suggester = suggester_of(surrogate)
    X = surrogate.space.enumerate()[::9]
    running = np.empty((0, 3), dtype=np.int64)
    for _ in range(10):
        row = suggester.suggest(study(X, pending=running), {}, rng())
        running = np.concatenate([running, row[None]])
    assert len(np.unique(np.concatenate([X, running]), axis=0)) == len(X) + 10


def test_running_ones_count_for_more_than_not_being_repeated(surrogate: MetaSurrogate) -> None:
    """They are likely to find what is near them, so it is better to look elsewhere."""
    suggester = suggester_of(surrogate)
    differs = []
    for seed in range(6):
        X = np.random.default_rng(seed).permutation(surrogate.space.enumerate())[:8]
        known = study(X, pending=suggester.suggest(study(X), {}, rng()))
        told = suggester.suggest(known, {}, rng())
        untold = suggester.suggest(replace(known, pending=X[:0]), {}, rng())
        differs.append(bool((told != untold).any()))
    assert any(differs)


@pytest.mark.parametrize("worst", [-1e9, -np.inf])
def test_values_of_any_kind_are_survived(surrogate: MetaSurrogate, worst: float) -> None:
    X = surrogate.space.enumerate()[::6]
    for y in (np.full(len(X), 0.5), np.r_[worst, X.sum(axis=1)[1:]], np.full(len(X), worst)):
        assert suggester_of(surrogate).suggest(study(X, y), {}, rng()).shape == (3,)


def test_only_the_order_and_ratio_of_values_matter(surrogate: MetaSurrogate) -> None:
    X = surrogate.space.enumerate()[::6]
    y = X.sum(axis=1) + 0.1 * X[:, 0]
    rows = [suggester_of(surrogate).suggest(study(X, v), {}, rng()) for v in (y, 256 * y + 64)]
    assert (rows[0] == rows[1]).all()


@pytest.mark.parametrize("acquisition", ["qei", "qlogei", "ucb"])
def test_search_finds_what_is_best(surrogate: MetaSurrogate, acquisition: str) -> None:
    """An additive objective over 64 cells, in a third as many trials."""
    surrogate.warm_starts = (WARM_START[:0],)
    suggester = suggester_of(surrogate, acquisition)
    X = WARM_START[:0]
    for i in range(20):
        row = suggester.suggest(study(X), {}, np.random.default_rng(i))
        X = np.concatenate([X, row[None]])
    assert X.sum(axis=1).max() == 9


def test_same_generator_same_suggestion(surrogate: MetaSurrogate) -> None:
    X = surrogate.space.enumerate()[::6]
    rows = [
        suggester_of(surrogate).suggest(study(X, pending=[1, 1, 1]), {}, rng()) for _ in range(2)
    ]
    assert (rows[0] == rows[1]).all()


# --- bounded cost ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nasbench201", "mobilenetv3"])
def test_a_suggestion_beside_hundreds_of_running_trials_stays_cheap(
    name: str, surrogate_of: Callable[[str], MetaSurrogate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that died leave trials that run for ever."""
    surrogate = surrogate_of(name)
    rows = np.unique(surrogate.space.sample(320, np.random.default_rng(0)), axis=0)[:310]
    rows = np.random.default_rng(1).permutation(rows)
    X, running = rows[:10], rows[10:]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    real = StudyGP.given

    def given(
        self: StudyGP, pending: torch.Tensor, x: torch.Tensor, normal: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        seen.append((pending, x))
        return real(self, pending, x, normal)

    monkeypatch.setattr(StudyGP, "given", given)
    known = Observations(X, X.sum(axis=1).astype(float), running, rows)
    suggester = suggester_of(surrogate)
    row = suggester.suggest(known, {}, rng())
    assert row.tobytes() not in {other.tobytes() for other in rows}
    assert seen
    # The latest, and not the first, which may be dead.
    latest = suggester.posterior.search(surrogate.space).inputs(running[-32:])
    for pending, candidates in seen:
        assert len(candidates) <= 512
        torch.testing.assert_close(pending, latest)


def test_a_long_study_is_fitted_to_the_informative_trials(
    surrogate: MetaSurrogate, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = surrogate.space.sample(300, np.random.default_rng(0))
    y = X.sum(axis=1) + np.random.default_rng(1).standard_normal(300)
    suggester = suggester_of(surrogate)
    fitted: list[np.ndarray] = []
    real = ExhaustiveSearch.fit

    def fit(self: ExhaustiveSearch, X: np.ndarray, y: torch.Tensor, *others: Any) -> object:
        fitted.append(X)
        assert len(X) == len(y)
        return real(self, X, y, *others)

    monkeypatch.setattr(ExhaustiveSearch, "fit", fit)
    suggester.suggest(study(X, y), {}, rng())
    assert (fitted[0] == X[informative(y)]).all()
    assert len(fitted[0]) < 256
