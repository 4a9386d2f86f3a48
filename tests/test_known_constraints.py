"""A sampler with limits that are known before training, against brute force."""

from __future__ import annotations

from collections.abc import Callable
import logging
from pathlib import Path
import pickle
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.samplers import PartialFixedSampler
from optuna.study import Study
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import ConstraintError
from optuna_tnas.search import feasible
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import Space
from tests.small_config import SMALL


OPS = ("skip", "conv", "pool", "wide")
CUBE = CellSpace([Node("a", OPS), Node("b", OPS, ["a"]), Node("c", OPS, ["b"])])  # 64 chains
MOBILE = MobileNetV3Space()
CELLS = NASBench201Space()
COST = {"skip": 0.0, "conv": 2.0, "pool": 1.0, "wide": 5.0}

Params = dict[str, Any]


def cost(params: Params) -> float:
    return sum(COST[op] for op in params.values())


def cheap(params: Params) -> float:
    return cost(params) - 4.0


def has_conv(params: Params) -> float:
    return 1.0 - list(params.values()).count("conv")


LIMITS = {"cost": cheap, "convolutions": has_conv}
ALL = [CUBE.decode(row) for row in CUBE.enumerate()]
FEASIBLE = [params for params in ALL if cheap(params) <= 0 and has_conv(params) <= 0]


def sampler_of(space: Space = CUBE, seed: int = 0, **kwargs: Any) -> TNASSampler:
    kwargs.setdefault("known_constraints", LIMITS)
    return TNASSampler(MetaSurrogate(space, SMALL), seed=seed, **kwargs)


def objective(trial: Trial) -> float:
    row = CUBE.encode(CUBE.suggest(trial))
    return float((row**2).sum() - row[0] * row[2])


def search(
    sampler: BaseSampler,
    n_trials: int,
    objective: Callable[[Trial], float] = objective,
    **kwargs: Any,
) -> Study:
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=n_trials, **kwargs)
    return study


def params(study: Study) -> list[Params]:
    return [trial.params for trial in study.trials]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


# --- listed spaces --------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_all_that_is_feasible_is_found_before_anything_repeats(n_jobs, caplog):
    study = search(sampler_of(), len(FEASIBLE) + 4, n_jobs=n_jobs)
    assert len(FEASIBLE) > SMALL.n_warm_start
    found = params(study)
    assert all(each in FEASIBLE for each in found)
    assert sorted(map(str, found[: len(FEASIBLE)])) == sorted(map(str, FEASIBLE))
    assert warnings_in(caplog) == []


def test_each_architecture_is_asked_about_once():
    asked = []
    limits = {"cost": lambda params: asked.append(params) or cheap(params)}
    search(sampler_of(known_constraints=limits), 8)
    assert sorted(map(str, asked)) == sorted(map(str, ALL))


def test_repeats_on_request_are_feasible():
    study = search(sampler_of(allow_repeats=True), 15)
    assert all(each in FEASIBLE for each in params(study))
    assert len({str(each) for each in params(study)}) < 15


@pytest.mark.parametrize("known_constraints", [None, {}])
def test_without_constraints_nothing_changes(known_constraints):
    study = search(sampler_of(known_constraints=known_constraints), 12)
    limits = {"none": lambda _: 0.0}
    assert len({str(each) for each in params(study)}) == 12
    assert any(each not in FEASIBLE for each in params(study))
    assert len(search(sampler_of(known_constraints=limits), 64).trials) == 64


def test_same_seed_same_trials_also_if_resumed():
    study = search(sampler_of(seed=3), 10)
    assert params(study) == params(search(sampler_of(seed=3), 10))
    resumed = search(sampler_of(seed=3), 5)
    resumed.sampler = pickle.loads(pickle.dumps(resumed.sampler))
    resumed.optimize(objective, n_trials=2)
    resumed.sampler = sampler_of(seed=3)
    resumed.optimize(objective, n_trials=3)
    assert params(study) == params(resumed)


def test_warm_start_networks_are_no_exception(checkpoint: Path):
    """A checkpoint with three initial architectures, of which the first is feasible."""
    surrogate = MetaSurrogate.load(checkpoint)
    first, *others = [CELLS.decode(row) for row in surrogate.warm_starts[0]]
    limits = {"known": lambda params: 1.0 if params in others else -1.0}
    sampler = TNASSampler.load(checkpoint, known_constraints=limits, seed=0)
    study = search(sampler, 4, lambda trial: float(CELLS.encode(CELLS.suggest(trial)).sum()))
    assert study.trials[0].params == first
    assert not any(each in others for each in params(study))


def test_a_shipped_checkpoint_begins_with_its_best_feasible_network():
    def convolutions(params: Params) -> float:
        return sum("conv" in op for op in params.values()) - 2.0

    def suggested(trial: Trial) -> float:
        return convolutions(CELLS.suggest(trial))

    sampler = TNASSampler.load(
        "nasbench201", known_constraints={"convolutions": convolutions}, seed=0
    )
    study = search(sampler, 3, suggested)
    assert all(trial.value <= 0 for trial in study.trials)
    free = search(TNASSampler.load("nasbench201", seed=0), 1, suggested)
    assert free.best_value > 0


# --- choices made elsewhere -----------------------------------------------------------------


def test_an_enqueued_violation_runs_with_a_warning(caplog):
    study = optuna.create_study(sampler=sampler_of())
    costly = {"op_a": "wide", "op_b": "wide", "op_c": "skip"}
    study.enqueue_trial(costly)
    study.enqueue_trial(FEASIBLE[0])
    study.optimize(objective, n_trials=5)
    assert params(study)[:2] == [costly, FEASIBLE[0]]
    assert all(each in FEASIBLE for each in params(study)[1:])
    (warning,) = warnings_in(caplog)
    assert "trial 0" in warning and "{'cost': 6.0, 'convolutions': 1.0}" in warning


def test_the_rest_of_a_partly_enqueued_architecture_is_feasible():
    study = search(sampler_of(), 4)
    study.enqueue_trial({"op_a": "pool"})
    study.optimize(objective, n_trials=1)
    assert study.trials[-1].params["op_a"] == "pool"
    assert study.trials[-1].params in FEASIBLE


def test_fixed_choices_and_limits_hold_together():
    expected = [each for each in FEASIBLE if each["op_b"] == "pool"]
    study = search(PartialFixedSampler({"op_b": "pool"}, sampler_of()), len(expected) + 2)
    found = params(study)
    assert sorted(map(str, found[: len(expected)])) == sorted(map(str, expected))
    assert all(each in expected for each in found)


@pytest.mark.parametrize("n_before", [0, 5])
def test_fixed_choices_that_no_feasible_architecture_has_are_an_error(n_before):
    study = search(sampler_of(), n_before)
    study.sampler = PartialFixedSampler({"op_a": "wide"}, study.sampler)
    with pytest.raises(ConstraintError, match=r"None of 16 .*'op_a': 'wide'.*cost 1.*other par"):
        study.optimize(objective, n_trials=1)
    assert study.trials[-1].state == TrialState.FAIL


def test_an_architecture_that_is_fixed_whole_runs_with_a_warning(caplog):
    costly = {"op_a": "wide", "op_b": "wide", "op_c": "skip"}
    study = search(PartialFixedSampler(costly, sampler_of()), 1)
    assert params(study) == [costly]
    assert len(warnings_in(caplog)) == 1


def test_workers_know_what_others_run(run_together):
    study = optuna.create_study()

    def work(seed: int) -> None:
        mine = optuna.load_study(
            study_name=study.study_name, storage=study._storage, sampler=sampler_of(seed=seed)
        )
        mine.optimize(objective, n_trials=3)

    run_together(work, [0, 1])
    assert all(each in FEASIBLE for each in params(study))
    assert len({str(each) for each in params(study)}) == 6


# --- what cannot be -------------------------------------------------------------------------


@pytest.mark.parametrize("n_before", [0, 6])
def test_if_nothing_is_feasible_the_error_names_the_constraints(n_before):
    study = search(sampler_of(), n_before)
    study.sampler = sampler_of(known_constraints={**LIMITS, "impossible": lambda _: 7.0})
    with pytest.raises(ConstraintError, match=r"None of 64 .*cost -4.*impossible 7"):
        study.optimize(objective, n_trials=1)


def test_a_constraint_that_raises_ends_the_search_with_its_name():
    limits = {"cost": lambda params: 1 / (cost(params) - 3.0)}
    with pytest.raises(ConstraintError, match="'cost'") as caught:
        search(sampler_of(known_constraints=limits), 1)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_no_functions_are_refused_at_once():
    with pytest.raises(ConstraintError, match="give names and functions"):
        sampler_of(known_constraints=cheap)


# --- large spaces ---------------------------------------------------------------------------


def small_network(params: Params) -> float:
    return count_macs(MOBILE, params) / 1e6 - 140  # of 3,000 random ones the least has 155


def accuracy(trial: Trial) -> float:
    return -float(MOBILE.encode(MOBILE.suggest(trial)).sum())


def test_a_limit_of_a_large_space_that_hardly_a_random_network_meets():
    sampler = sampler_of(MOBILE, known_constraints={"macs": small_network})
    study = search(sampler, 6, accuracy)
    assert all(small_network(each) <= 0 for each in params(study))
    assert len({str(each) for each in params(study)}) == 6
    again = sampler_of(MOBILE, known_constraints={"macs": small_network})
    assert params(search(again, 5, accuracy)) == params(study)[:5]


def test_fixed_layers_of_a_large_space():
    limits = {"macs": lambda params: count_macs(MOBILE, params) / 1e6 - 200}
    fixed = {"depth_1": 4, "kernel_2_1": 7}
    sampler = PartialFixedSampler(fixed, sampler_of(MOBILE, known_constraints=limits))
    for trial in search(sampler, 5, accuracy).trials:
        assert fixed.items() <= trial.params.items()
        assert limits["macs"](trial.params) <= 0


@pytest.mark.parametrize("n_before", [0, 4])
def test_an_impossible_limit_of_a_large_space(n_before, monkeypatch):
    monkeypatch.setattr(feasible, "_MAX_ROUNDS", 2)
    study = search(sampler_of(MOBILE, known_constraints={}), n_before, accuracy)
    study.sampler = sampler_of(MOBILE, known_constraints={"depth": lambda p: p["depth_1"]})
    with pytest.raises(ConstraintError, match=r"tried, random ones.* depth 2"):
        study.optimize(accuracy, n_trials=1)
    assert np.isin([t.state for t in study.trials[:n_before]], TrialState.COMPLETE).all()


# --- hyper-parameters beside the architecture -----------------------------------------------


def test_limits_hold_where_hyperparameters_are_searched_too(caplog):
    def with_rate(trial: Trial) -> float:
        return objective(trial) + trial.suggest_float("rate", 0.0, 1.0)

    study = optuna.create_study(sampler=sampler_of(warn_independent_sampling=False))
    study.optimize(with_rate, n_trials=8)
    costly = {"op_a": "wide", "op_b": "wide", "op_c": "skip"}
    study.enqueue_trial(costly)
    study.optimize(with_rate, n_trials=1)
    ops = [{name: p[name] for name in costly} for p in params(study)]
    assert all(each in FEASIBLE for each in ops[:8])
    assert ops[8] == costly
    assert len(warnings_in(caplog)) == 1
    study.sampler = PartialFixedSampler({"op_a": "wide"}, study.sampler)
    with pytest.raises(ConstraintError, match="'op_a': 'wide'"):
        study.optimize(with_rate, n_trials=1)


def test_limits_of_a_large_space_with_hyperparameters():
    sampler = sampler_of(
        MOBILE, known_constraints={"macs": small_network}, warn_independent_sampling=False
    )
    study = search(sampler, 5, lambda trial: accuracy(trial) + trial.suggest_float("rate", 0, 1))
    for trial in study.trials:
        assert small_network(trial.params) <= 0
