"""Searches that learn from pruned and running trials."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from math import nan
import os
from pathlib import Path
import signal
import subprocess
import sys

import numpy as np
import optuna
from optuna.pruners import HyperbandPruner
from optuna.pruners import MedianPruner
from optuna.pruners import SuccessiveHalvingPruner
from optuna.pruners import WilcoxonPruner
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest

from optuna_tnas import TNASPruner
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from tests.searches import n_different
from tests.searches import params
from tests.searches import sampler_of


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks
ROWS = SPACE.enumerate()
PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": lambda: MedianPruner(n_startup_trials=2),
    "halving": SuccessiveHalvingPruner,
    "hyperband": lambda: HyperbandPruner(max_resource=4),
    "wilcoxon": WilcoxonPruner,
    "own": lambda: TNASPruner(sampler_of(SPACE)),
}


def gain(row: np.ndarray) -> float:
    return float((row * [1.0, 0.8, 0.6, 0.4]).sum())


def train(trial: Trial) -> float:
    value = gain(SPACE.encode(SPACE.suggest(trial)))
    for step in range(1, 5):
        trial.report(value * step / 4, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


def add(study: Study, row: np.ndarray, value: float, end: bool, reports: bool = True) -> None:
    """Add a trial that was completed, or pruned at step 2."""
    steps = range(1, 5 if end else 3)
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE if end else TrialState.PRUNED,
            value=value if end else None,
            params=SPACE.decode(row),
            distributions=dict(SPACE.distributions()),
            intermediate_values={s: value * s / 4 for s in steps} if reports else {},
        )
    )


def next_of(study: Study, **kwargs: bool) -> np.ndarray:
    study.sampler = sampler_of(SPACE, **kwargs)
    return SPACE.encode(SPACE.suggest(study.ask()))


def half_known() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Completed trials whose first operation is one of two bad ones, and pruned others."""
    rng = np.random.default_rng(0)
    bad = rng.permutation(ROWS[ROWS[:, 0] < 2])
    return [*bad[:8]], [*rng.permutation(ROWS[ROWS[:, 0] >= 2])[:12]]


def test_a_pruned_trial_changes_the_next_suggestion_for_the_better() -> None:
    completed, pruned = half_known()
    gains = []
    for considered in (True, False):
        study = optuna.create_study(direction="maximize")
        for row in completed:
            add(study, row, gain(row), end=True)
        for row in pruned:
            add(study, row, gain(row), end=False)
        found = next_of(study, consider_pruned_trials=considered)
        assert not any(np.array_equal(found, row) for row in (*completed, *pruned))
        gains.append(gain(found))
    assert gains[0] > gains[1]


def test_a_running_trial_counts_by_what_it_has_reported() -> None:
    completed, others = half_known()
    found = []
    for sign in (1.0, -1.0):
        study = optuna.create_study(direction="maximize")
        for row in completed:
            add(study, row, gain(row), end=True)
        for row in others[:6]:
            study.enqueue_trial(SPACE.decode(row))
            trial = study.ask()
            SPACE.suggest(trial)
            trial.report(8.0 + sign * 8.0, 2)
        found.append(next_of(study))
    assert not np.array_equal(*found)


@pytest.mark.parametrize("name", PRUNERS)
def test_searches_with_every_pruner_repeat_nothing_and_find_good_architectures(name: str) -> None:
    study = optuna.create_study(
        study_name="x", direction="maximize", sampler=sampler_of(SPACE), pruner=PRUNERS[name]()
    )
    study.optimize(train, n_trials=40)
    assert n_different(study.trials, SPACE) == 40
    assert study.best_value > 7.0


def test_without_reports_nothing_changes() -> None:
    """Pruned trials without a report, and completed ones with some, are as they were."""
    completed, pruned = half_known()
    for reports in (True, False):
        suggestions = []
        for considered in (True, False):
            study = optuna.create_study(direction="maximize")
            for row in completed:
                add(study, row, gain(row), end=True, reports=reports)
            for row in pruned:
                add(study, row, 0.0, end=False, reports=False)
            suggestions.append(next_of(study, consider_pruned_trials=considered))
        assert np.array_equal(*suggestions)


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_strange_reports_do_no_harm(value: float) -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler_of(SPACE))
    study.optimize(train, n_trials=6)
    for _ in range(3):
        trial = study.ask()
        SPACE.suggest(trial)
        trial.report(value, 1)
        study.tell(trial, state=TrialState.PRUNED)
    study.optimize(train, n_trials=10)
    assert n_different(study.trials, SPACE) == 19


def test_ten_thousand_reports_in_one_trial() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler_of(SPACE))
    study.optimize(train, n_trials=4)
    for state, row in zip((TrialState.PRUNED, TrialState.COMPLETE), ROWS[-2:], strict=True):
        study.add_trial(
            create_trial(
                state=state,
                value=1.0 if state == TrialState.COMPLETE else None,
                params=SPACE.decode(row),
                distributions=dict(SPACE.distributions()),
                intermediate_values={step: step / 1e4 for step in range(10_000)},
            )
        )
    study.optimize(train, n_trials=2)
    assert n_different(study.trials, SPACE) == 8


def test_reports_of_another_metric_are_said(caplog: pytest.LogCaptureFixture) -> None:
    def train_with_loss(trial: Trial) -> float:
        value = gain(SPACE.encode(SPACE.suggest(trial)))
        trial.report(-value, 1)
        if trial.number % 3 == 2:
            raise optuna.TrialPruned
        return value

    study = optuna.create_study(direction="maximize", sampler=sampler_of(SPACE))
    study.optimize(train_with_loss, n_trials=30)
    assert "the other way around" in caplog.text
    assert study.best_value > 7.0


def test_explanations_are_of_what_had_ended() -> None:
    study = optuna.create_study(
        direction="maximize", sampler=sampler_of(SPACE), pruner=PRUNERS["median"]()
    )
    study.optimize(train, n_trials=15)
    sampler = study.sampler
    assert isinstance(sampler, type(sampler_of(SPACE)))
    last = study.trials[-1]
    explained = sampler.explain(study, last)
    assert explained.mean == pytest.approx(last.user_attrs["tnas:mean"])


KILLED = """
import os, signal, sys
import optuna
from tests import test_unfinished_trials as here
study = here.study_in(sys.argv[1])
def train(trial):
    def report(value, step):
        optuna.Trial.report(trial, value, step)
        if trial.number == 16 and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    trial.report = report
    return here.train(trial)
study.optimize(train, n_trials=30)
"""


def study_in(url: str | None) -> Study:
    return optuna.create_study(
        storage=url,
        study_name="x",
        load_if_exists=True,
        direction="maximize",
        sampler=sampler_of(SPACE),
        pruner=PRUNERS["own"](),
    )


@pytest.mark.skipif(sys.platform == "win32", reason="workers are killed by a signal")
def test_killed_in_the_middle_of_a_training_and_resumed(tmp_path: Path) -> None:
    """Trials before it are those of an uninterrupted search, and nothing is lost or repeated."""
    url = f"sqlite:///{tmp_path}/s.db"
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, "-c", KILLED, url]
    done = subprocess.run(command, env=environment, cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    study, whole = study_in(url), study_in(None)
    assert study.trials[16].state == TrialState.RUNNING
    assert study.trials[16].intermediate_values.keys() == {1, 2}
    study.optimize(train, n_trials=10)
    whole.optimize(train, n_trials=17)
    assert params(study)[:17] == params(whole)
    assert n_different(study.trials, SPACE) == 27
