"""The sampler against the suites of Optuna's own samplers, and against what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
import logging
import math
from pathlib import Path
import pickle
import subprocess
import sys
import time
from typing import Any
import warnings

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import HyperbandPruner
from optuna.samplers import BaseSampler
from optuna.samplers import PartialFixedSampler
from optuna.samplers import RandomSampler
from optuna.samplers import TPESampler
from optuna.samplers._base import _INDEPENDENT_SAMPLING_WARNING_TEMPLATE
from optuna.study import Study
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.testing.pytest_samplers import RelativeSamplerTestCase
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest
import torch

import optuna_tnas
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.errors import StudyError
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.posterior import StudyPosterior
from optuna_tnas.search.suggester import Decision
from optuna_tnas.search.suggester import Suggester
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex
from optuna_tnas.studies.observations import Observations
from tests.searches import n_different
from tests.searches import params
from tests.searches import sampler_of
from tests.searches import search
from tests.small_config import SMALL


class _Suites(BasicSamplerTestCase, RelativeSamplerTestCase):
    """All that Optuna demands of a single-objective sampler."""


class TestWithoutCheckpoint(_Suites):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TNASSampler(space=NASBench201Space(), seed=0)


class TestWithoutStartup(_Suites):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TNASSampler(space=NASBench201Space(), seed=0, n_startup_trials=0)


class TestWithCheckpoint(_Suites):
    @pytest.fixture
    def sampler(self, tmp_path: Path) -> Callable[[], BaseSampler]:
        path = tmp_path / "meta.pt"
        MetaSurrogate(NASBench201Space()).save(path)
        return lambda: TNASSampler.load(path, seed=0)


# --- spaces small enough to look at whole, and what is said of their trials -----------------

OPS = ("none", "skip", "conv", "pool")
CELLS = CellSpace([Node("a", OPS[1:]), Node("b", OPS, ["a"])], zero=("none",))  # 12
CUBE = CellSpace([Node(n, OPS) for n in "abc"], zero=("none",))  # 64
RATE = {"low": 1e-4, "high": 1e-1, "log": True}


def value_of(row: np.ndarray) -> float:
    """Any smooth function of the choices; exact, since they are small integers."""
    return float(((row - 1) ** 2).sum() + (row[:-1] * row[1:]).sum()) / 8


def objective_of(space: Space, sign: float = 1.0) -> Callable[[Trial], float]:
    return lambda trial: sign * value_of(space.encode(space.suggest(trial)))


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


# --- seeds ----------------------------------------------------------------------------------


def cube_params(seed: int, constant: bool) -> list[dict[str, Any]]:
    objective = objective_of(CUBE, 0.0 if constant else 1.0)
    return params(search(sampler_of(CUBE, seed), objective))


@pytest.mark.parametrize("constant", [False, True])
def test_same_seed_same_trials(constant):
    assert cube_params(1, constant) == cube_params(1, constant)
    assert cube_params(1, constant)[:3] != cube_params(2, constant)[:3]


def test_same_seed_same_trials_in_another_process(start_workers, open_storage, tmp_path, request):
    """Spawned afresh, whatever happened in this process before."""
    location = f"sqlite:///{tmp_path}/s.db"
    study = optuna.create_study(storage=open_storage(location), study_name="s")
    worker = start_workers(location=location, study_name="s", n_trials=8, seed=3)
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == 0, errors
    sampler = TNASSampler.load(request.getfixturevalue("checkpoint"), seed=3)
    here = search(sampler, request.getfixturevalue("objective"), 8)
    assert params(here) == params(study)


def test_minimizing_mirrors_maximizing():
    down = search(sampler_of(CUBE), objective_of(CUBE), direction="minimize")
    up = search(sampler_of(CUBE), objective_of(CUBE, -1.0), direction="maximize")
    assert params(down) == params(up)
    assert [t.value for t in down.trials] == [-t.value for t in up.trials]


def test_reseeding_keeps_the_seed_and_reaches_the_independent_sampler():
    def objective(trial: Trial) -> float:
        return objective_of(CUBE)(trial) + trial.suggest_float(f"rate_{trial.number}", **RATE)

    def run(reseed: bool) -> tuple[list[Any], list[float]]:
        inner = RandomSampler(seed=0)
        sampler = sampler_of(CUBE, independent_sampler=inner, warn_independent_sampling=False)
        if reseed:
            sampler.reseed_rng()
        found = params(search(sampler, objective, 3))
        return found, [p.pop(f"rate_{n}") for n, p in enumerate(found)]

    (cells, rates), (other_cells, other_rates) = run(False), run(True)
    assert run(False) == (cells, rates)
    assert cells == other_cells
    assert all(a != b for a, b in zip(rates, other_rates, strict=True))


@pytest.mark.parametrize("n_jobs", [2, 4])
def test_in_threads_random_starts_depend_on_the_seed_alone(n_jobs):
    """Whatever the order in which trials end, as long as the acquisition does not decide."""

    def run(n_jobs: int, seed: int = 0) -> list[dict[str, Any]]:
        space, delays = NASBench201Space(), np.random.default_rng()

        def objective(trial: Trial) -> float:
            value = objective_of(space)(trial)
            time.sleep(delays.uniform(0, 0.01))
            return value + trial.suggest_float("rate", **RATE)

        sampler = sampler_of(space, seed, n_startup_trials=12, warn_independent_sampling=False)
        found = params(search(sampler, objective, 12, n_jobs=n_jobs))
        return [{n: p[n] for n in space.distributions()} for p in found]

    assert run(n_jobs) == run(n_jobs) == run(1) != run(n_jobs, seed=1)


def test_in_threads_the_warm_start_is_taken_whole(checkpoint):
    warm_start = {tuple(row) for row in MetaSurrogate.load(checkpoint).warm_starts[0]}
    space = NASBench201Space()
    study = search(TNASSampler.load(checkpoint), objective_of(space), 3, n_jobs=3)
    assert {tuple(space.encode(p)) for p in params(study)} == warm_start


def test_a_pickled_sampler_goes_on_the_same():
    sampler = sampler_of(CUBE)
    study = search(sampler, objective_of(CUBE), 6)
    twin = optuna.create_study(sampler=pickle.loads(pickle.dumps(sampler)))
    twin.add_trials(study.trials)
    for each in (study, twin):
        each.optimize(objective_of(CUBE), n_trials=5)
    assert params(study) == params(twin)


def test_one_sampler_may_serve_several_studies_at_once():
    sampler, studies = sampler_of(CUBE), [optuna.create_study() for _ in range(2)]
    for study in studies:
        study.sampler = sampler
    for _ in range(8):
        studies[0].optimize(objective_of(CUBE), n_trials=1)
        studies[1].optimize(objective_of(CUBE, -1.0), n_trials=1)
    for study, sign in zip(studies, (1.0, -1.0), strict=True):
        assert params(study) == params(search(sampler_of(CUBE), objective_of(CUBE, sign), 8))


# --- threads, devices, dtypes, imports ------------------------------------------------------


def test_threads_share_a_sampler_without_repeating():
    study = search(sampler_of(CUBE), objective_of(CUBE), 30, n_jobs=2)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 30
    assert n_different(study.trials, CUBE) == 30


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("space", [CUBE, MobileNetV3Space()], ids=["finite", "searched"])
@pytest.mark.parametrize(
    "setting",
    [lambda: default_device("meta"), lambda: default_dtype(torch.float64)],
    ids=["device", "dtype"],
)
def test_the_users_torch_defaults_change_nothing(setting, space, tmp_path):
    path = tmp_path / "meta.pt"
    MetaSurrogate(space, SMALL).save(path)
    expected = params(search(TNASSampler.load(path, seed=0), objective_of(space), 7))
    with setting():
        found = search(TNASSampler.load(path, seed=0), objective_of(space), 7)
    assert params(found) == expected


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(lambda: default_device("meta"), id="device"),
        pytest.param(lambda: default_dtype(torch.float64), id="dtype"),
    ],
)
def test_the_users_torch_defaults_change_no_untrained_surrogate(setting):
    expected = params(search(sampler_of(CUBE), objective_of(CUBE), 7))
    with setting():
        assert params(search(sampler_of(CUBE), objective_of(CUBE), 7)) == expected


def test_the_users_threads_and_random_numbers_are_left_alone():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
        search(sampler_of(CUBE), objective_of(CUBE), 6)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)
    finally:
        torch.set_num_threads(threads)


def test_importing_the_package_does_not_import_torch():
    code = "import sys, optuna_tnas; print('torch' in sys.modules)"
    root = Path(optuna_tnas.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


# --- choices made elsewhere -----------------------------------------------------------------


def test_an_enqueued_architecture_is_evaluated_once():
    study = optuna.create_study(sampler=sampler_of(CELLS))
    study.enqueue_trial({"op_a": "conv", "op_b": "pool"})
    study.optimize(objective_of(CELLS), n_trials=12)
    assert study.trials[0].params == {"op_a": "conv", "op_b": "pool"}
    assert n_different(study.trials, CELLS) == 12


def test_the_rest_of_a_partly_enqueued_architecture_is_chosen_jointly(caplog):
    study = search(sampler_of(CELLS), objective_of(CELLS), 4)
    for _ in range(2):
        study.enqueue_trial({"op_a": "conv"})
    study.optimize(objective_of(CELLS), n_trials=8)
    assert [t.params["op_a"] for t in study.trials[4:6]] == ["conv"] * 2
    assert n_different(study.trials, CELLS) == 12
    assert warnings_in(caplog) == []


@pytest.mark.parametrize("value", ["none", "conv"])
def test_a_fixed_choice_is_kept_and_its_subspace_exhausted_first(value):
    base = sampler_of(CUBE)
    study = search(PartialFixedSampler({"op_b": value}, base), objective_of(CUBE), 18)
    assert {t.params["op_b"] for t in study.trials} == {value}
    assert n_different(study.trials[:16], CUBE) == 16
    study.sampler = base
    study.optimize(objective_of(CUBE), n_trials=8)
    assert n_different(study.trials, CUBE) == 24


def test_a_fixed_layer_of_a_searched_space():
    space = MobileNetV3Space()
    sampler = PartialFixedSampler({"depth_2": 3, "kernel_2_3": 7}, sampler_of(space))
    study = search(sampler, objective_of(space), 8)
    for trial in study.trials:
        assert (trial.params["depth_2"], trial.params["kernel_2_3"]) == (3, 7)
        assert "kernel_2_4" not in trial.params
    assert n_different(study.trials, space) == 8


def test_choices_that_no_architecture_has_together_are_survived():
    """The second operation exists only if ``deep``."""
    flag, op = Parameter("deep", (False, True)), Parameter("op", OPS, Condition(0, (1,)))
    space = DeclaredSpace(
        (flag, op), (Vertex("v", (0, 1), (None,) * 4 + OPS),), (), leaves_to_output=True
    )
    study = search(sampler_of(space), objective_of(space), 5)
    study.enqueue_trial({"deep": False, "op": "pool"})
    study.optimize(objective_of(space), n_trials=1)
    assert study.trials[-1].params == {"deep": False}


# --- values that are missing or strange -----------------------------------------------------


def test_hyperband_brackets_repeat_nothing_either():
    def objective(trial: Trial) -> float:
        value = objective_of(CUBE)(trial)
        for step in range(1, 10):
            trial.report(value + 1 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    pruner = HyperbandPruner(min_resource=1, max_resource=9)
    # The study's name decides about the brackets.
    study = optuna.create_study(sampler=sampler_of(CUBE), pruner=pruner, study_name="brackets")
    study.optimize(objective, n_trials=40)
    states = {t.state for t in study.trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}
    assert n_different(study.trials, CUBE) == 40


class _OutOfMemoryError(Exception):
    """What a training may raise."""


@pytest.mark.parametrize("trouble", ["nan", "pruned", "failed"])
def test_architectures_without_a_value_are_not_suggested_again(trouble):
    def objective(trial: Trial) -> float:
        row = CELLS.encode(CELLS.suggest(trial))
        if row[0] == 0 and trouble == "pruned":
            raise optuna.TrialPruned
        if row[0] == 0 and trouble == "failed":
            raise _OutOfMemoryError
        return math.nan if row[0] == 0 else value_of(row)

    study = search(sampler_of(CELLS), objective, catch=_OutOfMemoryError)
    assert n_different(study.trials, CELLS) == 12
    assert sum(t.state == TrialState.COMPLETE for t in study.trials) == 8


def test_preempted_trials_come_again():
    """Each architecture's first trial fails, and the second gives its value."""
    begun: set[tuple[int, ...]] = set()

    def objective(trial: Trial) -> float:
        row = CELLS.encode(CELLS.suggest(trial))
        if tuple(row) not in begun:
            begun.add(tuple(row))
            raise _OutOfMemoryError
        return value_of(row)

    study = search(
        sampler_of(CELLS, failed_trials="retry"), objective, 24, catch=_OutOfMemoryError
    )
    completed = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert len(completed) == n_different(completed, CELLS) == 12


def test_what_failed_three_times_does_not_come_again():
    study = search(
        sampler_of(CELLS, failed_trials="retry"), lambda t: CELLS.suggest(t) and math.nan, 36
    )
    rows = [tuple(CELLS.encode(t.params)) for t in study.trials]
    assert {rows.count(row) for row in rows} == {3}


def test_an_unknown_way_with_failed_trials_is_refused():
    with pytest.raises(OptunaTNASError, match=r"'again'.*\['avoid', 'model', 'retry'\]"):
        sampler_of(CELLS, failed_trials="again")


def test_if_everything_fails_the_search_goes_on():
    study = search(sampler_of(CELLS), lambda t: CELLS.suggest(t) and math.nan, 15)
    assert n_different(study.trials, CELLS) == 12
    assert {t.state for t in study.trials} == {TrialState.FAIL}


@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_infinite_values_are_survived(infinity, direction):
    def objective(trial: Trial) -> float:
        value = objective_of(CUBE)(trial)
        return infinity if trial.number % 2 == 0 else value

    study = search(sampler_of(CUBE), objective, direction=direction)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 12
    assert n_different(study.trials, CUBE) == 12


# --- repeats --------------------------------------------------------------------------------


def test_a_finite_space_is_exhausted_before_anything_repeats():
    study = search(sampler_of(CELLS), objective_of(CELLS), 16)
    assert CELLS.size == n_different(study.trials[:12], CELLS) == 12
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


def test_repeats_on_request():
    study = search(sampler_of(CELLS, allow_repeats=True), objective_of(CELLS), 12)
    assert n_different(study.trials, CELLS) < 12


class _Overtaken(Suggester):
    """While it ponders, another worker evaluates what it is about to choose."""

    study: Study

    def decide(self, data: Observations, *args: Any) -> Decision:
        decision = super().decide(data, *args)
        if len(self.study.trials) == 1:
            names = CELLS.distributions()
            self.study.add_trial(
                optuna.trial.create_trial(
                    params=CELLS.decode(decision.row), distributions=names, value=0.0
                )
            )
        return decision


def test_what_another_worker_completed_meanwhile_is_not_repeated():
    sampler = sampler_of(CELLS)
    study = optuna.create_study(sampler=sampler)
    sampler._suggester = _Overtaken(StudyPosterior(MetaSurrogate(CELLS, SMALL), None))
    sampler._suggester.study = study
    study.optimize(objective_of(CELLS), n_trials=1)
    assert len(study.trials) == n_different(study.trials, CELLS) == 2


def test_threads_that_exhaust_a_space_together_leave_nothing_out(run_together):
    """Workers with samplers of their own, which share nothing but the storage."""
    study = optuna.create_study()

    def work(seed: int) -> None:
        mine = optuna.load_study(
            study_name=study.study_name, storage=study._storage, sampler=sampler_of(CELLS, seed)
        )
        mine.optimize(objective_of(CELLS), n_trials=3)

    run_together(work, list(range(4)))
    assert n_different(study.trials, CELLS) == 12


# --- parameters beside the space ------------------------------------------------------------


def with_rate(trial: Trial) -> float:
    return objective_of(CELLS)(trial) + trial.suggest_float("rate", **RATE)


def test_a_hyperparameter_is_sampled_with_the_architecture(caplog):
    study = search(sampler_of(CELLS, independent_sampler=OnlyFirst()), with_rate, 12)
    assert len({tuple(t.params.items()) for t in study.trials}) == 12
    assert all(1e-4 <= t.params["rate"] <= 1e-1 for t in study.trials)
    assert warnings_in(caplog) == []


class OnlyFirst(RandomSampler):
    """Samples what nobody can know before the first trial, and nothing else."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        assert trial.number == 0
        return super().sample_independent(study, trial, param_name, param_distribution)


def with_late_rate(trial: Trial) -> float:
    value = objective_of(CELLS)(trial)
    return value + trial.suggest_float("rate", **RATE) if trial.number >= 3 else value


def test_a_hyperparameter_that_comes_late_is_sampled_with_a_warning_once(caplog):
    study = search(sampler_of(CELLS), with_late_rate, 8)
    assert ["rate" in t.params for t in study.trials] == 3 * [False] + 5 * [True]
    (message,) = warnings_in(caplog)
    assert message == _INDEPENDENT_SAMPLING_WARNING_TEMPLATE.format(
        param_name="rate",
        trial_number=3,
        independent_sampler_name="RandomSampler",
        sampler_name="TNASSampler",
        fallback_reason="no other trial of the study was asked for it",
    )


def test_the_warning_of_the_published_model_has_its_reason_and_comes_after_the_first_trial(caplog):
    sampler = TNASSampler(
        MetaSurrogate(CELLS, replace(SMALL, gp="paper")),
        seed=0,
        independent_sampler=TPESampler(seed=0),
    )
    search(sampler, with_rate, 3)
    messages = warnings_in(caplog)
    assert [f"Trial#{n}" in m for n, m in enumerate(messages, 1)] == [True, True]
    assert all("TPESampler" in m and "`paper` has no hyper-parameters" in m for m in messages)


def test_the_warning_can_be_switched_off(caplog):
    search(sampler_of(CELLS, warn_independent_sampling=False), with_late_rate, 5)
    assert warnings_in(caplog) == []


def test_a_resumed_study_does_not_repeat_foreign_parameters():
    study = search(sampler_of(CELLS), with_rate, 4)
    study.sampler = sampler_of(CELLS)
    study.optimize(with_rate, n_trials=4)
    assert len({tuple(t.params.items()) for t in study.trials}) == 8
    assert params(study) == params(search(sampler_of(CELLS), with_rate, 8))


def test_conditional_layers_are_sampled_jointly(caplog):
    space = MobileNetV3Space()
    study = search(sampler_of(space), objective_of(space), 8)
    for trial in study.trials:
        row = space.encode(trial.params)
        assert set(trial.params) == set(space.decode(row))
    assert n_different(study.trials, space) == 8
    assert warnings_in(caplog) == []


def test_an_objective_that_ignores_the_space_is_told_so(caplog):
    search(sampler_of(CELLS), lambda t: t.suggest_float("rate", **RATE), 12)
    assert sum("'op_a', 'op_b'" in message for message in warnings_in(caplog)) == 1


# --- what Optuna's switches reach -----------------------------------------------------------


def test_optunas_verbosity_and_handler_reach_the_log(capsys):
    def run() -> str:
        optuna.logging.disable_default_handler()
        optuna.logging.enable_default_handler()  # writes to what is captured now
        search(sampler_of(CELLS), with_late_rate, 4)
        return capsys.readouterr().err

    handler = optuna.logging._default_handler
    assert isinstance(handler, logging.StreamHandler)
    stream = handler.setStream(sys.stderr)
    try:
        assert "independently" in run()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        assert run() == ""
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        handler.setStream(stream)


@pytest.mark.parametrize(
    "argument",
    [
        {"failed_trials": "retry"},
        {"known_constraints": {"n": lambda params: -1.0}},
        {"features": lambda params: {"n": 1.0}},
        {"cheap_objectives": {"n": lambda params: 1.0}},
    ],
)
def test_experimental_arguments_say_so(argument):
    (name,) = argument
    with pytest.warns(ExperimentalWarning, match=name) as caught:
        sampler_of(CELLS, **argument)
    assert len(caught) == 1


def test_the_plain_sampler_is_not_experimental():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExperimentalWarning)
        search(sampler_of(CELLS), objective_of(CELLS), 4)


# --- how long a search starts up ------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 8])
def test_startup_trials_do_not_depend_on_the_values(n):
    up, down = (
        params(search(sampler_of(CUBE, n_startup_trials=n), objective_of(CUBE, sign)))
        for sign in (1.0, -1.0)
    )
    assert up[: max(n, 1)] == down[: max(n, 1)]
    assert up != down


def test_startup_trials_are_the_surrogates_unless_given():
    given = search(sampler_of(CUBE, n_startup_trials=SMALL.n_warm_start), objective_of(CUBE))
    assert params(given) == params(search(sampler_of(CUBE), objective_of(CUBE)))


def test_no_more_startup_trials_than_asked_for():
    short = params(search(sampler_of(CUBE, n_startup_trials=1), objective_of(CUBE)))
    long = params(search(sampler_of(CUBE, n_startup_trials=8), objective_of(CUBE)))
    assert short[0] == long[0] and short[1:8] != long[1:8]


@pytest.mark.parametrize("number", [-1, 1.5, "ten"])
def test_an_impossible_number_of_startup_trials_is_refused(number):
    with pytest.raises(OptunaTNASError, match=r"n_startup_trials cannot be .*whole number"):
        sampler_of(CELLS, n_startup_trials=number)


# --- several suggestions at once ------------------------------------------------------------


def test_a_batch_is_fitted_once_and_chosen_greedily(monkeypatch):
    n_fits, fit = 0, ExhaustiveSearch.fit

    def counted(*args: Any) -> Any:
        nonlocal n_fits
        n_fits += 1
        return fit(*args)

    def ask(again: bool) -> list[dict[str, Any]]:
        study = search(sampler_of(CUBE), objective_of(CUBE), 6)
        monkeypatch.setattr(ExhaustiveSearch, "fit", counted)
        batch = []
        for _ in range(8):
            if again:  # a sampler that has fitted nothing yet
                study.sampler = pickle.loads(pickle.dumps(study.sampler))
            batch.append(CUBE.suggest(study.ask()))
        return batch

    batch = ask(again=False)
    assert n_fits == 1
    assert len({tuple(p.values()) for p in batch}) == 8
    monkeypatch.undo()
    assert ask(again=True) == batch


# --- studies that do not fit ----------------------------------------------------------------


def test_other_choices_under_the_same_name_are_refused():
    other = CellSpace([Node("a", ["skip", "attention"])])
    study = search(RandomSampler(seed=0), objective_of(other), 1)
    study.sampler = sampler_of(CELLS)
    with pytest.raises(StudyError, match=r"(?s)op_a.*'attention'.*'skip', 'conv', 'pool'"):
        CELLS.suggest(study.ask())


def test_parameters_may_have_other_names(checkpoint):
    space = NASBench201Space(names=[f"edge{i}" for i in range(6)])
    study = search(TNASSampler.load(checkpoint, space=space, seed=0), objective_of(space), 6)
    original = NASBench201Space()
    expected = search(TNASSampler.load(checkpoint, seed=0), objective_of(original), 6)
    assert [list(p.values()) for p in params(study)] == [
        list(p.values()) for p in params(expected)
    ]
    assert set(study.trials[0].params) == set(space.distributions())


# --- seeds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [-1, 1.5, "abc", np.float64(2)])
def test_a_seed_that_cannot_be_one_is_refused_at_once(seed: Any) -> None:
    with pytest.raises(OptunaTNASError, match=r"seed cannot be .*whole number"):
        TNASSampler(space=CELLS, seed=seed)


@pytest.mark.parametrize("seed", [0, np.int64(3), 2**40])
def test_any_whole_number_is_a_seed(seed: Any) -> None:
    search(TNASSampler(space=CELLS, seed=seed), objective_of(CELLS), n_trials=1)
