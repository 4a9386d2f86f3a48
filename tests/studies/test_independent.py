from __future__ import annotations

import pickle

import optuna
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution
from optuna.samplers import TPESampler
import pytest

from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.studies.independent import IndependentParameters
from tests.studies.small_study import running


LR = FloatDistribution(1e-4, 1.0, log=True)
PAST = Hyperparameters({"lr": LR})


def independent(**kwargs: object) -> IndependentParameters:
    given = {"seed": 0, "past": PAST, "sampler": None, "why": None, **kwargs}
    return IndependentParameters(**given)  # type: ignore[arg-type]


def test_what_is_planned_is_sampled_until_it_is_forgotten() -> None:
    study, parameters = optuna.create_study(), independent()
    trial, other = running(study)[1], running(study)[1]
    parameters.plan(trial, {"lr": 0.01})
    assert parameters.sample(study, trial, "lr", LR) == pytest.approx(0.01)
    assert parameters.sample(study, other, "lr", LR) != pytest.approx(0.01)
    parameters.forget(trial)
    assert parameters.sample(study, trial, "lr", LR) != pytest.approx(0.01)


def test_plans_are_for_the_process_that_made_them() -> None:
    study, parameters = optuna.create_study(), independent()
    trial = running(study)[1]
    parameters.plan(trial, {"lr": 0.01})
    copy = pickle.loads(pickle.dumps(parameters))
    assert copy.sample(study, trial, "lr", LR) != pytest.approx(0.01)
    assert parameters.sample(study, trial, "lr", LR) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("distribution", "used", "words"),
    [
        (FloatDistribution(0.0, 1.0), True, "is taken by its value"),
        (IntDistribution(0, 3), True, "is taken by its value"),
        (CategoricalDistribution(["a", "b"]), False, "is not used"),
    ],
)
def test_another_distribution_than_the_pasts_is_said(
    distribution: BaseDistribution,
    used: bool,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    study, parameters = optuna.create_study(), independent()
    trial = running(study)[1]
    parameters.plan(trial, {"lr": 0.01})
    value = parameters.sample(study, trial, "lr", distribution)
    assert words in caplog.text
    at_random = independent().sample(study, trial, "lr", distribution)
    assert (value != at_random) == used


def test_random_values_depend_on_seed_trial_and_name() -> None:
    study = optuna.create_study()
    first, second = running(study)[1], running(study)[1]

    def drawn(seed: int, trial: optuna.trial.FrozenTrial, name: str) -> float:
        return float(independent(seed=seed).sample(study, trial, name, LR))

    assert drawn(0, first, "lr") == drawn(0, first, "lr")
    others = [drawn(1, first, "lr"), drawn(0, second, "lr"), drawn(0, first, "momentum")]
    assert len({drawn(0, first, "lr"), *others}) == 4


@pytest.mark.parametrize("why", [None, "of this reason"])
def test_the_reason_is_given_once_a_trial_has_finished(
    why: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    study, parameters = optuna.create_study(), independent(why=why, sampler=TPESampler(seed=0))
    parameters.sample(study, running(study)[1], "lr", LR)
    assert "TPESampler" not in caplog.text
    study.tell(running(study)[0], 1.0)
    parameters.sample(study, running(study)[1], "lr", LR)
    assert ("of this reason" in caplog.text) == (why is not None)
