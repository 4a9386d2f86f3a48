from __future__ import annotations

import json

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler
from optuna.samplers import TPESampler
from optuna.trial import create_trial
from optuna.trial import TrialState
import pytest

from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.studies import choices
from optuna_tnas.studies import claims
from optuna_tnas.studies import trials
from tests.studies.small_study import add
from tests.studies.small_study import frozen
from tests.studies.small_study import read
from tests.studies.small_study import ROWS
from tests.studies.small_study import running
from tests.studies.small_study import SPACE


def test_layers_that_do_not_exist_may_be_missing_or_not():
    space = MobileNetV3Space()
    row = space.sample(1, np.random.default_rng(0))[0]
    for inactive in (True, False):
        params = space.decode(row, inactive=inactive)
        distributions = {n: d for n, d in space.distributions().items() if n in params}
        trial = create_trial(value=0.0, params=params, distributions=distributions)
        assert np.array_equal(choices.architecture(trial, space), row)


def test_parameters_count_more_than_the_claim():
    study = optuna.create_study()
    trial, current = running(study)
    claims.claim(study, SPACE, current, ROWS[-1])
    trial.suggest_categorical("op_a", ["x", "y", "z"])
    row = choices.architecture(frozen(study, trial), SPACE)
    assert SPACE.decode(row)["op_a"] == trial.params["op_a"]
    assert SPACE.decode(row)["op_b"] == SPACE.decode(ROWS[-1])["op_b"]


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
    key = choices.claim_key(SPACE) if name == "claim" else name
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
            key = choices.claim_key(space)
            study._storage.set_trial_system_attr(trial._trial_id, key, value)
            found = trials.read_study(study, space, None).pending
            assert len(found) == n, value
