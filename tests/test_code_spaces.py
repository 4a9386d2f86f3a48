"""Searches in spaces that are made from ordinary code."""

from __future__ import annotations

from functools import partial
import os
from pathlib import Path
import pickle
import subprocess
import sys

from optuna.samplers import RandomSampler
from optuna.trial import Trial
import pytest

import optuna_tnas
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import MissingSpaceError
from optuna_tnas.spaces import Space
from tests.searches import n_different
from tests.searches import params
from tests.searches import sampler_of
from tests.searches import search
from tests.small_config import SMALL
from tests.spaces import builds


class NoIndependentSampler(RandomSampler):
    """Fails where a parameter is not sampled together with the others."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        raise AssertionError(param_name)


def worth(trial: Trial) -> float:
    """Deep networks of middling widths are good."""
    numbers = [v for v in trial.params.values() if isinstance(v, int | float)]
    return sum(min(v, 96 - v) for v in numbers)


@pytest.mark.parametrize("build", [builds.mlp, builds.transformer, builds.branches])
def test_conditional_parameters_of_code_are_all_sampled_together(build):
    space = Space.from_define_by_run(build, n_runs=200)

    def objective(trial: Trial) -> float:
        build(trial)  # the function itself asks the trial
        return worth(trial)

    sampler = sampler_of(space, independent_sampler=NoIndependentSampler())
    n_trials = 60 if space.size > 60 else int(space.size)
    study = search(sampler, objective, n_trials, "maximize")
    assert n_different(study.trials, space) == n_trials
    random = search(RandomSampler(seed=0), objective, n_trials, "maximize")
    assert study.best_value >= random.best_value


def test_a_search_of_code_repeats_and_goes_on():
    space = Space.from_define_by_run(builds.mlp, n_runs=200)
    whole = search(sampler_of(space), lambda t: worth_of(space, t), 12)
    halves = search(sampler_of(space), lambda t: worth_of(space, t), 6)
    halves.sampler = sampler_of(Space.from_define_by_run(builds.mlp, n_runs=200))
    halves.optimize(lambda t: worth_of(space, t), n_trials=6)
    assert params(halves) == params(whole)


def worth_of(space: Space, trial: Trial) -> float:
    space.suggest(trial)
    return worth(trial)


def test_a_sampler_of_code_is_copied_with_it():
    sampler = sampler_of(Space.from_define_by_run(builds.mlp, n_runs=50))
    space = sampler.space
    again = pickle.loads(pickle.dumps(sampler))
    objective = partial(worth_of, space)
    assert params(search(again, objective, 5)) == params(search(sampler, objective, 5))


def test_enqueued_choices_of_code_are_kept():
    space = Space.from_define_by_run(builds.mlp, n_runs=50)
    study = search(sampler_of(space), partial(worth_of, space), 4)
    study.enqueue_trial({"n_layers": 3, "width_1": 48})
    study.optimize(partial(worth_of, space), n_trials=1)
    assert {"n_layers": 3, "width_1": 48}.items() <= study.trials[-1].params.items()
    assert len(study.trials[-1].params) == 7


def test_a_checkpoint_of_code_is_loaded_with_its_space(tmp_path):
    space = Space.from_define_by_run(builds.mlp, n_runs=50)
    MetaSurrogate(space, SMALL).save(tmp_path / "meta.pt")
    with pytest.raises(MissingSpaceError, match=r"tests\.spaces\.builds:mlp"):
        TNASSampler.load(tmp_path / "meta.pt")
    other = Space.from_define_by_run(builds.short_mlp, n_runs=50)
    with pytest.raises(MissingSpaceError, match="17 parameters against 5"):
        TNASSampler.load(tmp_path / "meta.pt", space=other)
    again = Space.from_define_by_run(builds.mlp, n_runs=50)
    loaded = TNASSampler.load(tmp_path / "meta.pt", space=again, seed=0)
    objective = partial(worth_of, space)
    assert params(search(loaded, objective, 6)) == params(search(sampler_of(space), objective, 6))


def test_reading_a_checkpoint_imports_nothing(tmp_path):
    """In a process that has no such module, only the space's absence is told."""
    space = Space.from_define_by_run(builds.mlp, n_runs=50)
    MetaSurrogate(space, SMALL).save(tmp_path / "meta.pt")
    code = (
        "import sys, optuna_tnas as o\n"
        "try: o.TNASSampler.load('meta.pt')\n"
        "except ValueError as e: print(type(e).__name__, 'tests.spaces.builds' in sys.modules)"
    )
    root = str(Path(optuna_tnas.__file__).parents[1])
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "MissingSpaceError False"
