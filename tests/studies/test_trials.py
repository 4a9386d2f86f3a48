"""A study's trials as arrays, and claims."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
import json
import time

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import FrozenTrial
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest

from optuna_tnas.errors import StudyError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.studies import trials


SPACE = CellSpace([Node("a", ["x", "y", "z"]), Node("b", ["x", "y"], ["a"])])
ROWS = SPACE.enumerate()


def add(study: Study, row: np.ndarray, state: TrialState, value: float | None = None) -> None:
    study.add_trial(
        create_trial(
            state=state,
            value=value,
            params=SPACE.decode(row),
            distributions=SPACE.distributions(),
        )
    )


def running(study: Study) -> tuple[Trial, FrozenTrial]:
    trial = study.ask()
    return trial, frozen(study, trial)


def frozen(study: Study, trial: Trial) -> FrozenTrial:
    return study._storage.get_trial(trial._trial_id)


def read(study: Study) -> trials.Observations:
    return trials.read_study(study, SPACE, running(study)[1])


@pytest.mark.parametrize(("direction", "sign"), [("minimize", -1), ("maximize", 1)])
def test_every_state_has_its_place(direction, sign):
    study = optuna.create_study(direction=direction)
    add(study, ROWS[0], TrialState.COMPLETE, 2.0)
    add(study, ROWS[1], TrialState.PRUNED)
    add(study, ROWS[2], TrialState.FAIL)
    add(study, ROWS[3], TrialState.COMPLETE, float("inf"))
    SPACE.suggest(study.ask(fixed_distributions=SPACE.distributions()))
    suggested = SPACE.encode(study.trials[-1].params)
    study.enqueue_trial(SPACE.decode(ROWS[5]))
    waiting = study.trials[-1]
    data = trials.read_study(study, SPACE, waiting)
    assert np.array_equal(data.X, ROWS[[0, 3]])
    assert data.y.tolist() == [2.0 * sign, np.inf * sign]
    assert np.array_equal(data.pending, [suggested])
    assert np.array_equal(data.avoided, [*ROWS[:4], suggested])


def test_failed_architectures_may_come_again_until_they_failed_too_often():
    study = optuna.create_study()
    for n, row in enumerate(ROWS[:4]):
        for _ in range(n):
            add(study, row, TrialState.FAIL)
    add(study, ROWS[1], TrialState.PRUNED)
    current = running(study)[1]
    for n_retries, avoided in ((0, {1, 2, 3}), (1, {1, 2, 3}), (2, {1, 3}), (3, {1})):
        data = trials.read_study(study, SPACE, current, n_retries=n_retries)
        assert set(map(tuple, data.avoided)) == {tuple(ROWS[i]) for i in avoided}
        kept = [
            not trials.give_way(study, SPACE, current, r, n_retries=n_retries) for r in ROWS[:4]
        ]
        assert [i for i, k in enumerate(kept) if not k] == sorted(avoided)


def test_constraints_of_completed_trials_are_read_by_name():
    study = optuna.create_study()
    for row, limits in zip(ROWS, [{"ms": 2.0}, {}, {"MB": -1.0, "ms": 0.0}], strict=False):
        trial = study.ask(fixed_distributions=SPACE.distributions())
        for name, value in limits.items():
            trial.set_constraint(name, value)
        study.tell(trial, float(row.sum()))
    study.ask().set_constraint("of a running trial", 1.0)
    finished, current = trials.FinishedTrials(), running(study)[1]
    for _ in range(2):  # read, and kept
        found = trials.read_study(study, SPACE, current, finished).constraints
        assert list(found) == ["MB", "ms"]
        np.testing.assert_array_equal(found["ms"], [2.0, np.nan, 0.0])
        np.testing.assert_array_equal(found["MB"], [np.nan, np.nan, -1.0])


def test_enqueued_architectures_are_avoided_by_others():
    study = optuna.create_study()
    study.enqueue_trial(SPACE.decode(ROWS[5]))
    study.enqueue_trial({"op_a": "x"})
    partial = study.trials[1]
    assert np.array_equal(trials.read_study(study, SPACE, partial).avoided, ROWS[[5]])


def test_an_empty_study_has_empty_arrays():
    data = read(optuna.create_study())
    assert data.X.shape == data.pending.shape == data.avoided.shape == (0, 2)
    assert data.y.shape == (0,)


def test_trials_without_an_architecture_do_not_count():
    study = optuna.create_study()
    study.add_trial(create_trial(value=1.0))
    study.tell(study.ask(), 1.0)
    half = study.ask()
    half.suggest_categorical("op_a", ["x", "y", "z"])
    assert len(read(study).avoided) == 0


def test_layers_that_do_not_exist_may_be_missing_or_not():
    space = MobileNetV3Space()
    row = space.sample(1, np.random.default_rng(0))[0]
    for inactive in (True, False):
        params = space.decode(row, inactive=inactive)
        distributions = {n: d for n, d in space.distributions().items() if n in params}
        trial = create_trial(value=0.0, params=params, distributions=distributions)
        assert np.array_equal(trials.architecture(trial, space), row)


def test_other_choices_are_refused_by_name():
    study = optuna.create_study()
    study.ask().suggest_categorical("op_a", ["x", "other"])
    with pytest.raises(StudyError, match=r"'op_a'.*other.*'x', 'y', 'z'"):
        read(study)


def test_a_claim_is_pending_until_the_trial_ends_without_it():
    study = optuna.create_study()
    trial, current = running(study)
    trials.claim(study, SPACE, current, ROWS[4])
    assert np.array_equal(read(study).pending, ROWS[[4]])
    study.tell(trial, state=TrialState.FAIL)
    assert len(read(study).avoided) == 0


def test_parameters_count_more_than_the_claim():
    study = optuna.create_study()
    trial, current = running(study)
    trials.claim(study, SPACE, current, ROWS[-1])
    trial.suggest_categorical("op_a", ["x", "y", "z"])
    row = trials.architecture(frozen(study, trial), SPACE)
    assert SPACE.decode(row)["op_a"] == trial.params["op_a"]
    assert SPACE.decode(row)["op_b"] == SPACE.decode(ROWS[-1])["op_b"]


def test_what_is_kept_reads_as_anew_whatever_a_trial_does_next():
    study, finished = optuna.create_study(), trials.FinishedTrials()
    trial, current = running(study)
    steps: list[Callable[[], object]] = [
        lambda: trials.claim(study, SPACE, current, ROWS[1]),
        lambda: trials.claim(study, SPACE, current, ROWS[2]),
        lambda: trial.suggest_categorical("op_a", ["x", "y", "z"]),
        lambda: trials.claim(study, SPACE, current, ROWS[3]),
        lambda: trial.suggest_categorical("op_b", list(SPACE.parameters[1].choices)),
        lambda: trials.claim(study, SPACE, current, ROWS[4]),
        lambda: study.tell(trial, 1.0),
    ]
    for step in steps:
        step()
        kept = trials.read_study(study, SPACE, None, finished)
        anew = trials.read_study(study, SPACE, None)
        for name in ("X", "y", "pending", "avoided"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(anew, name))


# --- what others write ----------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_what_other_samplers_chose_is_pending_before_it_is_stored(sampler):
    """Both write their choice when the trial asks for its first parameter, in one transaction."""
    others = {
        "gp": GPSampler(seed=0, n_startup_trials=0),
        "tpe": TPESampler(seed=0, n_startup_trials=0, multivariate=True),
    }
    study = optuna.create_study(sampler=others[sampler])
    for row in ROWS[:3]:
        add(study, row, TrialState.COMPLETE, float(row.sum()))
    trial = study.ask()
    first, *_ = SPACE.distributions().items()
    trial._suggest(*first)  # the second one is decided too, but not stored yet
    assert list(frozen(study, trial).params) == [first[0]]
    pending = read(study).pending
    assert np.array_equal(pending, [SPACE.encode(SPACE.suggest(trial))])


def test_a_choice_that_is_written_in_part_does_not_count():
    study = optuna.create_study()
    _, current = running(study)
    text = json.dumps(SPACE.decode(ROWS[4]))
    half = len(text) // 2

    def write(i: int, piece: str) -> None:
        study._storage.set_trial_system_attr(current._trial_id, f"gp:relative_params:{i}", piece)

    write(0, text[:half])
    assert len(read(study).pending) == 0
    write(1, text[half:])
    assert np.array_equal(read(study).pending, ROWS[[4]])


HOSTILE = [
    *(None, 0, -1, 2.5, True, "x", "[0, 0]", "x" * 100_000, [], {}, [[]], [None, None]),
    *([0], [0, 0, 0], [99, 0], [-1, 0], [0, 1e300], ["0", "0"], [[0], [0]], [0, [0, 1]]),
    *({"op_a": "x"}, {"0": 0, "1": 0}, "[" * 100_000, "NaN", '{"op_a": [], "op_b": {}}'),
]


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.COMPLETE])
@pytest.mark.parametrize("name", ["claim", "gp:relative_params:0", "tpe:relative_params:0"])
def test_hostile_attributes_do_not_count(name, state):
    key = trials._claim_key(SPACE) if name == "claim" else name
    for content in HOSTILE:
        study = optuna.create_study()
        trial = study.ask()
        study._storage.set_trial_system_attr(trial._trial_id, key, content)
        if state == TrialState.COMPLETE:
            study.tell(trial, 0.0)
        assert len(read(study).avoided) == 0, content


def test_an_attribute_that_is_no_enqueued_choice_does_not_count():
    for content in HOSTILE:
        study = optuna.create_study()
        trial = study.ask()
        study._storage.set_trial_system_attr(trial._trial_id, "fixed_params", content)
        assert len(read(study).avoided) == 0, content


def test_hostile_claims_of_architectures_with_hyperparameters_do_not_count():
    lr = {"lr": FloatDistribution(0, 1), "opt": CategoricalDistribution(["adam", "sgd"])}
    space = JointSpace(SPACE, Hyperparameters(lr))
    good = [0, 0, 0.5, 1.0]
    for content in [*HOSTILE, [0, 0, 0.5], [0, 0, 0.5, 7.0], [0, 0, 0.5, 1e999], [0, 0, "a", 0]]:
        study = optuna.create_study()
        trial = study.ask()
        for value, n in ((content, 0), (good, 1)):
            key = trials._claim_key(space)
            study._storage.set_trial_system_attr(trial._trial_id, key, value)
            found = trials.read_study(study, space, None).pending
            assert len(found) == n, value


# --- who keeps an architecture that two trials claim ----------------------------------------


def keep(study: Study, trial: FrozenTrial, row: np.ndarray, space: Space = SPACE) -> bool:
    return trials.give_way(study, space, trial, row) == 0


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_claim_gives_way_to_a_finished_trial(state):
    study = optuna.create_study()
    _, current = running(study)
    trials.claim(study, SPACE, current, ROWS[0])
    add(study, ROWS[0], state, 1.0 if state == TrialState.COMPLETE else None)
    assert not keep(study, current, ROWS[0])
    assert len(read(study).pending) == 0  # withdrawn


def test_a_claim_gives_way_to_an_older_one():
    study = optuna.create_study()
    (_, older), (_, younger) = running(study), running(study)
    for trial in (older, younger):
        trials.claim(study, SPACE, trial, ROWS[0])
    assert not keep(study, younger, ROWS[0])
    assert keep(study, older, ROWS[0])


def test_an_older_claim_waits_until_the_younger_one_gave_way():
    study = optuna.create_study()
    (_, older), (_, younger) = running(study), running(study)
    for trial in (older, younger):
        trials.claim(study, SPACE, trial, ROWS[0])
    with ThreadPoolExecutor(1) as pool:
        kept = pool.submit(keep, study, older, ROWS[0])
        assert not wait([kept], timeout=0.1).done
        assert not keep(study, younger, ROWS[0])
        assert kept.result(timeout=60)


def test_a_claim_gives_way_to_a_younger_trial_under_way():
    study = optuna.create_study()
    _, older = running(study)
    younger, _ = running(study)
    row = SPACE.encode(SPACE.suggest(younger))
    trials.claim(study, SPACE, older, row)
    assert not keep(study, older, row)


def test_a_claim_gives_way_at_once_to_what_another_sampler_chose(monkeypatch):
    monkeypatch.setattr(trials, "_PATIENCE", 60.0)
    study = optuna.create_study()
    (_, current), (_, younger) = running(study), running(study)
    text = json.dumps(SPACE.decode(ROWS[0]))
    study._storage.set_trial_system_attr(younger._trial_id, "gp:relative_params:0", text)
    trials.claim(study, SPACE, current, ROWS[0])
    start = time.monotonic()
    assert not keep(study, current, ROWS[0])
    assert time.monotonic() - start < 30


def test_a_claim_does_not_wait_forever_for_a_dead_process(monkeypatch):
    monkeypatch.setattr(trials, "_PATIENCE", 0.1)
    study = optuna.create_study()
    (_, older), (_, younger) = running(study), running(study)
    for trial in (older, younger):
        trials.claim(study, SPACE, trial, ROWS[0])
    assert not keep(study, older, ROWS[0])


def test_different_claims_stand():
    study = optuna.create_study()
    current = [running(study)[1] for _ in ROWS]
    for trial, row in zip(current, ROWS, strict=True):
        trials.claim(study, SPACE, trial, row)
    assert all(keep(study, t, row) for t, row in zip(current, ROWS, strict=True))


def test_one_of_many_simultaneous_claims_is_kept(run_together: Callable):
    study = optuna.create_study()
    current = [running(study)[1] for _ in range(8)]

    def contend(trial: FrozenTrial) -> bool:
        trials.claim(study, SPACE, trial, ROWS[0])
        return keep(study, trial, ROWS[0])

    assert sum(run_together(contend, current)) == 1


def cells(names: str, ops: str) -> CellSpace:
    """A chain of operations."""
    before = ["input", *names]
    return CellSpace([Node(n, [*ops], [p]) for n, p in zip(names, before, strict=False)])


@pytest.mark.parametrize("suggested", [True, False])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (cells("ab", "xyz"), cells("cde", "xyz")),
        (cells("cde", "xyz"), cells("ab", "xyz")),
        (cells("ab", "xyz"), cells("cd", "xy")),
        (cells("ab", "xyz"), cells("cd", "pqrs")),
        (cells("ab", "xyz"), cells("cd", "xyz")),
        (cells("ab", "xyz"), cells("ab", "xyzw")),
    ],
)
def test_claims_of_another_spaces_search_are_ignored(first, second, suggested):
    """The process that made the claim was killed, and its trial is running for ever."""
    study = optuna.create_study()
    trial, current = running(study)
    trials.claim(study, first, current, np.ones(len(first.parameters), dtype=np.int64))
    if suggested and not first.distributions().keys() & second.distributions().keys():
        first.suggest(trial)
    row = np.ones(len(second.parameters), dtype=np.int64)
    _, later = running(study)
    trials.claim(study, second, later, row)
    data = trials.read_study(study, second, later)
    assert len(data.pending) == len(data.avoided) == 0
    assert not trials.give_way(study, second, later, row)
    _, last = running(study)
    assert np.array_equal(trials.read_study(study, second, last).pending, [row])
