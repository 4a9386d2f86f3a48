"""Searches of hyper-parameters beside the architecture, with and without a past."""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import PartialFixedSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import Trial
import pytest
import torch

from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate.outcomes import normal_scores
from tests.small_config import SMALL


OPS = ("none", "skip", "conv", "pool")
CELLS = CellSpace([Node("a", OPS[1:]), Node("b", OPS, ["a"])], zero=("none",))
Objective = Callable[[Trial], float]


def training(best_rate: float = -2.0, space: Space = CELLS) -> Objective:
    """A smooth function of the cell, the rate, the batch size and the optimizer; at most 1."""

    def objective(trial: Trial) -> float:
        row = space.encode(space.suggest(trial))
        rate = np.log10(trial.suggest_float("rate", 1e-5, 1.0, log=True))
        batch = trial.suggest_int("batch", 16, 256, step=16)
        optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam", "lion"])
        loss = (rate - best_rate) ** 2 + ((batch - 64) / 100) ** 2 + (optimizer != "adam") / 2
        return float(1 - loss - 0.1 * (row != 1).sum())

    return objective


class OnlyFirst(RandomSampler):
    """Samples what nobody can know before the first trial, and nothing else."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        assert trial.number == 0
        return super().sample_independent(study, trial, name, distribution)


def search(
    sampler: optuna.samplers.BaseSampler, objective: Objective, n: int, **kwargs: Any
) -> Study:
    study = optuna.create_study(direction="maximize", sampler=sampler, **kwargs)
    study.optimize(objective, n_trials=n)
    return study


def untrained(space: Space = CELLS, **kwargs: Any) -> TNASSampler:
    return TNASSampler(MetaSurrogate(space, SMALL), seed=0, **kwargs)


@pytest.fixture(scope="module")
def informed() -> MetaSurrogate:
    studies = []
    for seed, best in enumerate((-2.2, -1.8)):
        study = search(RandomSampler(seed=seed), training(best), 60, study_name=str(seed))
        studies.append(study)
    config = Config(**{**vars(SMALL), "outer_steps": 2})
    return meta_train(MetaDataset.from_studies(studies, CELLS), config=config, progress=False)


def params(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("space", [CELLS, MobileNetV3Space()], ids=["listed", "large"])
def test_all_parameters_are_sampled_together(space: Space) -> None:
    sampler = untrained(space, independent_sampler=OnlyFirst(seed=0))
    study = search(sampler, training(space=space), 9)
    assert all(trial.state.name == "COMPLETE" for trial in study.trials)


def test_finds_what_random_search_does_not() -> None:
    ours = [search(untrained(), training(best), 25).best_value for best in (-1, -2, -3)]
    random = [
        search(RandomSampler(seed=s), training(best), 100).best_value
        for s, best in enumerate((-1, -2, -3))
    ]
    assert np.mean(ours) > np.mean(random)
    assert min(ours) > 0.9


def test_the_past_is_there_from_the_first_trial(informed: MetaSurrogate) -> None:
    study = search(TNASSampler(informed, seed=0), training(), 3)
    first = study.trials[0].params
    assert first["optimizer"] == "adam" and 1e-3 < first["rate"] < 1e-1
    assert study.trials[0].value > 0.6  # type: ignore[operator]


def test_the_pasts_outcomes_are_found_in_its_coefficients(informed: MetaSurrogate) -> None:
    """So that a checkpoint, which has no outcomes, can be conditioned anew in a wider space."""
    past, network, structure = informed.past, informed.network, informed.structure
    assert past is not None and past.beside is not None
    outcomes = past.outcomes(network, structure)
    for y in outcomes:
        assert sorted(y.tolist()) == pytest.approx(sorted(normal_scores(y.numpy())), abs=1e-6)
    again = past.refitted(network, structure, past.X, outcomes)
    assert again.beside is not None
    torch.testing.assert_close(again.alpha, past.alpha, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(again.beside.alpha, past.beside.alpha, rtol=1e-3, atol=1e-4)


def test_the_past_may_have_had_other_ranges(informed: MetaSurrogate) -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        trial.suggest_float("rate", 1e-3, 5e-3)  # narrower, and not logarithmic
        trial.suggest_categorical("optimizer", ["lion", "sgd"])
        trial.suggest_int("batch", 1, 1024, log=True)
        return float(trial.number)

    study = search(TNASSampler(informed, seed=0), objective, 4)
    assert all(1e-3 <= p["rate"] <= 5e-3 for p in params(study))
    assert study.trials[0].params["rate"] == pytest.approx(5e-3)  # the nearest to the past's best


def test_what_contradicts_the_past_is_said(
    informed: MetaSurrogate, caplog: pytest.LogCaptureFixture
) -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        trial.suggest_categorical("rate", ["low", "high"])
        return float(trial.number)

    search(TNASSampler(informed, seed=0), objective, 4)
    (message,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "'rate'" in message and "CategoricalDistribution" in message
    assert "FloatDistribution" in message


def test_another_scale_than_the_pasts_is_said(
    informed: MetaSurrogate, caplog: pytest.LogCaptureFixture
) -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        return trial.suggest_float("rate", 1e-3, 1.0)

    study = search(TNASSampler(informed, seed=0), objective, 3)
    assert study.trials[0].params["rate"] < 0.1  # where the past's were good
    (message,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "'rate'" in message and "log=True" in message and "log=False" in message


def test_a_history_of_numbers_and_choices_is_said() -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        trial.suggest_categorical("rate", [0.1, 0.2])
        return float(trial.number)

    studies = [
        search(RandomSampler(seed=s), o, 5, study_name=f"{s}")
        for s, o in enumerate([training(), objective])
    ]
    history = MetaDataset.from_studies(studies, CELLS)
    assert any("'rate'" in reason for reason in history.left_out)
    assert set(history.hyperparameters.names) == {"rate", "batch", "optimizer"}


@pytest.mark.parametrize("past", [False, True])
def test_same_seed_same_trials_after_a_restart(informed: MetaSurrogate, past: bool) -> None:
    def sampler() -> TNASSampler:
        return TNASSampler(informed, seed=0) if past else untrained()

    whole = search(sampler(), training(), 9)
    study = search(sampler(), training(), 5)
    study.sampler = sampler()
    study.optimize(training(), n_trials=4)
    assert params(study) == params(whole)


def test_enqueued_values_are_taken() -> None:
    study = optuna.create_study(direction="maximize", sampler=untrained())
    study.optimize(training(), n_trials=4)
    study.enqueue_trial({"rate": 0.5, "optimizer": "lion"})
    study.optimize(training(), n_trials=1)
    last = study.trials[-1].params
    assert last["rate"] == 0.5 and last["optimizer"] == "lion"


def test_fixed_values_are_taken() -> None:
    study = search(PartialFixedSampler({"rate": 0.1, "a": "pool"}, untrained()), training(), 7)
    assert all(p["rate"] == 0.1 for p in params(study))


def test_a_range_may_change_during_a_study() -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        high = 1.0 if trial.number < 6 else 10.0
        return trial.suggest_float("x", 0, high)

    study = search(untrained(), objective, 10)
    assert study.best_value > 5


def test_discrete_searches_repeat_nothing() -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        return float(trial.suggest_categorical("c", [1, 2]) == 1)

    study = search(untrained(), objective, 20)
    assert len({tuple(sorted(p.items())) for p in params(study)}) == 20  # of 24


@pytest.mark.parametrize(("low", "high", "log"), [(1e-300, 1e300, True), (1e-300, 1e300, False)])
def test_huge_ranges(low: float, high: float, log: bool) -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        x = trial.suggest_float("x", low, high, log=log)
        return -abs(np.log10(x) - 50) if log else -abs(x / 1e300 - 0.3)

    study = search(untrained(), objective, 15)
    assert study.best_value > (-120 if log else -0.2)


def test_parameters_of_one_value_are_no_question() -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        one = trial.suggest_float("one", 1.0, 1.0)
        return one + len(trial.suggest_categorical("only", ["a"])) + trial.suggest_float("x", 0, 1)

    sampler = untrained(independent_sampler=OnlyFirst(seed=0))
    study = search(sampler, objective, 5)
    asked = sampler.infer_relative_search_space(study, study.trials[-1])
    assert asked.keys() - CELLS.distributions().keys() == {"x"}


class Names(RandomSampler):
    """Lists what it samples."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.names: list[str] = []

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        self.names.append(name)
        return super().sample_independent(study, trial, name, distribution)


def test_parameters_that_only_some_trials_have_are_sampled_together() -> None:
    """What Optuna's TPE calls groups: each is drawn alone once, whatever other trials had."""

    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        if trial.suggest_categorical("optimizer", ["sgd", "adam"]) == "sgd":
            return 0.5 - (trial.suggest_float("momentum", 0, 1) - 0.9) ** 2
        return 1 - (trial.suggest_float("beta", 0, 1) - 0.2) ** 2

    alone = Names()
    study = search(untrained(independent_sampler=alone), objective, 20)
    assert sorted(alone.names) == ["beta", "momentum", "optimizer"]
    assert {len(p) for p in params(study)} == {4}
    assert study.best_value > 0.999


def test_two_hundred_parameters() -> None:
    def objective(trial: Trial) -> float:
        CELLS.suggest(trial)
        return sum(trial.suggest_float(f"x_{i}", 0, 1) for i in range(200))

    study = search(untrained(), objective, 5)
    assert len({tuple(p.values()) for p in params(study)}) == 5
    assert all(len(p) == 202 for p in params(study))


def test_the_published_sampler_leaves_them_to_the_independent_one() -> None:
    config = Config(**{**vars(SMALL), "gp": "paper"})
    sampler = TNASSampler(MetaSurrogate(CELLS, config), seed=0)
    study = search(sampler, training(), 4)
    space = sampler.infer_relative_search_space(study, study.trials[-1])
    assert space.keys() == CELLS.distributions().keys()


def test_a_study_without_them_repeats_no_network(informed: MetaSurrogate) -> None:
    def objective(trial: Trial) -> float:
        return -float((CELLS.encode(CELLS.suggest(trial)) != 1).sum())

    study = search(TNASSampler(informed, seed=0), objective, 9)
    networks = CELLS.to_graphs(np.array([CELLS.encode(p) for p in params(study)])).pruned()
    assert len(networks.classes()[0]) == 9
