"""Why trials were suggested: explanations, what is written with trials, the past's weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import Trial
import pytest

from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import StudyError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from optuna_tnas.surrogate.past import PastStudies
from tests.searches import params
from tests.searches import search
from tests.small_config import SMALL


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks


def value_of(row: np.ndarray) -> float:
    return 50 + 10 * float((row * [1.0, 0.8, 0.6, 0.4]).sum())


def objective(trial: Trial) -> float:
    return value_of(SPACE.encode(SPACE.suggest(trial)))


def tuned(trial: Trial) -> float:
    return objective(trial) - 20 * abs(trial.suggest_float("x", 0.0, 1.0) - 0.3)


def surrogate_of(*signs: float) -> MetaSurrogate:
    """With a past study of each sign: 1 if the new study is like it, -1 if it is the opposite."""
    surrogate = MetaSurrogate(SPACE, SMALL)
    surrogate.warm_starts = (SPACE.sample(4, np.random.default_rng(9)),)
    studies = []
    for seed, sign in enumerate(signs):
        X = SPACE.sample(60, np.random.default_rng(seed))
        studies.append((X, sign * np.array([value_of(row) for row in X]), None))
    if studies:
        surrogate.past = PastStudies.fit(surrogate.network, surrogate.structure, studies)
        surrogate.provenance = {"tasks": {f"past {sign:+g}": 60 for sign in signs}}
    return surrogate


def sampler_of(*signs: float, seed: int = 0, **kwargs: Any) -> TNASSampler:
    return TNASSampler(surrogate_of(*signs), seed=seed, **kwargs)


@pytest.fixture(scope="module")
def searched() -> tuple[TNASSampler, Study]:
    sampler = sampler_of(1.0)
    return sampler, search(sampler, objective, 14, "maximize")


# --- one trial after the other --------------------------------------------------------------


def test_what_was_written_is_what_is_explained(searched: tuple[TNASSampler, Study]) -> None:
    sampler, study = searched
    for trial in study.trials:
        assert sampler.explain(study, trial).attributes == trial.user_attrs
    assert all("tnas:mean" in t.user_attrs for t in study.trials[3:])


def test_phases_follow_each_other(searched: tuple[TNASSampler, Study]) -> None:
    sampler, study = searched
    phases = [sampler.explain(study, trial).phase for trial in study.trials]
    assert phases == ["past", *13 * ["acquisition"]]
    assert [sampler.explain(study, t).n_trials for t in study.trials] == list(range(14))


def before(study: Study, number: int) -> Study:
    """A study of the first trials alone."""
    shorter = optuna.create_study(direction="maximize")
    shorter.add_trials(study.trials[:number])
    return shorter


@pytest.mark.parametrize("objective", [objective, tuned], ids=["architecture", "joint"])
def test_the_posterior_is_that_of_the_trials_before(objective: Callable[[Trial], float]) -> None:
    sampler = sampler_of(1.0, warn_independent_sampling=False)
    study = search(sampler, objective, 12, "maximize")
    for number in (4, 11):
        found = sampler.explain(study, study.trials[number])
        mean, std = sampler.predict(before(study, number), [study.trials[number].params])
        np.testing.assert_allclose([found.mean, found.std], [mean[0], std[0]], rtol=1e-9)


def test_nothing_tried_promises_more_than_what_was_suggested(
    searched: tuple[TNASSampler, Study],
) -> None:
    sampler, study = searched
    shorter = before(study, 10)
    suggested = sampler.explain(study, study.trials[10]).acquisition
    assert suggested is not None
    rng, tried = np.random.default_rng(0), [t.params for t in shorter.trials]
    for row in SPACE.sample(40, rng):
        if SPACE.decode(row) in tried:
            continue
        candidate = before(study, 10)
        candidate.enqueue_trial(SPACE.decode(row))
        other = sampler.explain(candidate, candidate.trials[10]).acquisition
        assert other is not None and other <= suggested + 1e-12


def test_minimizing_mirrors_maximizing() -> None:
    found = []
    for sign, direction in ((1.0, "maximize"), (-1.0, "minimize")):
        sampler = sampler_of(1.0)
        study = search(sampler, lambda t, s=sign: s * objective(t), 8, direction)
        found.append(sampler.explain(study, study.trials[7]))
    up, down = found
    assert up.mean is not None and down.mean == pytest.approx(-up.mean)
    assert (up.std, up.past, up.no_past) == (down.std, down.past, down.no_past)


# --- what the past says ---------------------------------------------------------------------


def test_a_past_that_is_right_gains_weight_and_one_that_is_opposite_is_turned_around() -> None:
    random = search(RandomSampler(seed=0), objective, 12, "maximize")
    samplers = sampler_of(1.0), sampler_of(-1.0)
    right, wrong = (sampler.explain(random, random.trials[11]) for sampler in samplers)
    assert right.no_past < 0.5
    assert right.past_weight is not None and right.past_weight > 0.3
    assert wrong.past_weight is not None and wrong.past_weight < -0.3
    study = search(samplers[1], objective, 12, "maximize")
    assert "turned around" in study.trials[11].user_attrs["tnas:reason"]


def test_weights_of_the_past_and_of_nothing_sum_to_one() -> None:
    sampler = sampler_of(1.0, -1.0)
    study = search(sampler, objective, 6, "maximize")
    weights = sampler.source_weights(study)
    assert set(weights) == {"past +1", "past -1"}
    last = sampler.explain(study, study.trials[5])
    assert sum(last.sources.values()) + last.no_past == pytest.approx(1)
    trial = study.ask()
    SPACE.suggest(trial)
    coming = sampler.explain(study, study.trials[6])
    assert weights == pytest.approx(dict(coming.sources))


def test_before_there_are_trials_the_past_is_as_probable_as_not() -> None:
    weights = sampler_of(1.0, -1.0).source_weights(optuna.create_study())
    assert sum(weights.values()) == pytest.approx(0.5)


def test_without_a_past_nothing_is_said_of_it() -> None:
    sampler = sampler_of()
    study = search(sampler, objective, 8)
    assert sampler.source_weights(study) == {}
    found = [sampler.explain(study, trial) for trial in study.trials]
    assert [e.phase for e in found] == 3 * ["start"] + 5 * ["acquisition"]
    assert {(e.past, e.no_past, e.past_weight) for e in found} == {(None, 1.0, None)}
    assert study.trials[7].user_attrs["tnas:reason"].endswith("no past")


def test_the_published_model_is_explained_too() -> None:
    surrogate = MetaSurrogate(SPACE, Config.preset("paper"))
    sampler = TNASSampler(surrogate, seed=0)
    study = search(sampler, objective, 6)
    last = sampler.explain(study, study.trials[5])
    assert (last.phase, last.no_past, dict(last.sources)) == ("acquisition", 1.0, {})
    assert last.mean is not None and sampler.source_weights(study) == {}


# --- trials that were not suggested, or together ----------------------------------------------


def test_what_was_fixed_or_suggested_by_others_is_told_apart() -> None:
    sampler = sampler_of(1.0)
    study = search(RandomSampler(seed=0), objective, 3, "maximize")
    study.sampler = sampler
    study.enqueue_trial(SPACE.decode(SPACE.enumerate()[17]))
    study.enqueue_trial({"op_a": "conv"})
    study.optimize(objective, n_trials=3)
    phases = [sampler.explain(study, trial).phase for trial in study.trials]
    assert phases == [*3 * ["other"], "enqueued", *2 * ["acquisition"]]


def test_trials_that_run_together_know_nothing_of_each_others_values() -> None:
    sampler = sampler_of(1.0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    trials = [study.ask() for _ in range(3)]
    for trial in trials:
        study.tell(trial, objective(trial))
    found = [sampler.explain(study, trial) for trial in study.trials]
    assert [(e.n_trials, e.mean) for e in found] == 3 * [(0, None)]


def test_two_equal_values_give_no_unit() -> None:
    study = search(sampler_of(1.0), lambda t: SPACE.suggest(t) and 3.5, 4)
    assert [set(t.user_attrs) for t in study.trials] == 4 * [{"tnas:reason"}]


def test_with_constraints_the_acquisition_is_that_of_the_search() -> None:
    def limited(trial: Trial) -> float:
        trial.set_constraint("ops", 4 - float(SPACE.encode(SPACE.suggest(trial)).sum()))
        return objective(trial)

    sampler = sampler_of(1.0)
    study = search(sampler, limited, 8, "minimize")
    assert sampler.explain(study, study.trials[7]).attributes == study.trials[7].user_attrs


# --- switching it off -----------------------------------------------------------------------


@pytest.mark.parametrize("objective", [objective, tuned], ids=["architecture", "joint"])
def test_explaining_changes_no_trial(objective: Callable[[Trial], float]) -> None:
    told, untold = (
        search(
            sampler_of(1.0, explain_trials=explain, warn_independent_sampling=False),
            objective,
            10,
            "maximize",
        )
        for explain in (True, False)
    )
    assert params(told) == params(untold)
    assert all(trial.user_attrs == {} for trial in untold.trials)


class _Counting(InMemoryStorage):
    """Counts the calls of each method that reads or writes trials."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if "trial" in name and not name.startswith("_"):
            self.calls[name] += 1
        return super().__getattribute__(name)


def test_explaining_takes_at_most_three_writes_a_trial() -> None:
    calls = []
    for explain in (True, False):
        storage = _Counting()
        sampler = sampler_of(1.0, explain_trials=explain)
        study = optuna.create_study(storage=storage, sampler=sampler)
        study.optimize(objective, n_trials=8)
        calls.append(storage.calls)
    more = calls[0] - calls[1]
    assert more.pop("set_trial_user_attr") == 8 + 2 * 6  # mean and deviation from the third on
    assert set(more) <= {"check_trial_is_updatable"}  # which the storage asks itself


# --- bad input ------------------------------------------------------------------------------


def test_what_cannot_be_explained_is_named() -> None:
    sampler = sampler_of(1.0)
    study = search(RandomSampler(seed=0), lambda t: t.suggest_float("lr", 0, 1), 1)
    with pytest.raises(StudyError, match=r"Trial 0 has no architecture.*op_a.*\['lr'\]"):
        sampler.explain(study, study.trials[0])
    several = optuna.create_study(directions=["minimize", "maximize"])
    several.add_trial(optuna.create_trial(values=[0.0, 0.0]))
    with pytest.raises(StudyError, match="2 objectives"):
        sampler.explain(several, several.trials[0])
    with pytest.raises(StudyError, match="2 objectives"):
        sampler.source_weights(several)
