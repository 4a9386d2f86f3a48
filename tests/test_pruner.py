"""TNASPruner: which trainings it stops."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping

import numpy as np
import optuna
from optuna.pruners import NopPruner
from optuna.pruners import PatientPruner
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import Trial
from optuna.trial import TrialState
import pytest

from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas import OptunaTNASError
from optuna_tnas import TNASPruner
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from tests.searches import sampler_of


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks
LONG = CellSpace([Node("a", OPS)] + [Node(f"n{i}", OPS, ["a"]) for i in range(12)])
LAST = 4


def gain(row: np.ndarray) -> float:
    return float((row * np.linspace(1.0, 0.4, len(row))).sum())


def rugged(row: np.ndarray) -> float:
    """What no other architecture tells."""
    return float(np.random.default_rng(row.astype(np.uint8).tolist()).normal())


def report(trial: Trial, values: Mapping[int, float]) -> None:
    """Report values by step until the trial is pruned."""
    for step, value in values.items():
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned


def training(
    space: CellSpace, direction: float = 1.0, value_of: Callable[[np.ndarray], float] = gain
) -> Callable[[Trial], float]:
    """Report a share of the value at each step, and noise that fades."""

    def train(trial: Trial) -> float:
        value = value_of(space.encode(space.suggest(trial)))
        noise = np.random.default_rng(trial.number).normal(size=LAST + 1)
        left = {step: 1 - step / LAST for step in range(1, LAST + 1)}
        seen = {s: value * (1 - rest / 2) + 0.3 * rest * noise[s] for s, rest in left.items()}
        report(trial, {step: direction * v for step, v in seen.items()})
        return direction * value

    return train


def search(
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner,
    n_trials: int = 40,
    space: CellSpace = SPACE,
    direction: str = "maximize",
) -> Study:
    study = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)
    study.optimize(training(space, 1.0 if direction == "maximize" else -1.0), n_trials=n_trials)
    return study


def rows(study: Study, state: TrialState, space: CellSpace = SPACE) -> list[np.ndarray]:
    return [space.encode(t.params) for t in study.get_trials(states=(state,))]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("own", [True, False])
def test_bad_trainings_stop_and_good_ones_end(direction: str, own: bool) -> None:
    sampler = sampler_of(SPACE)
    study = search(
        sampler if own else RandomSampler(seed=0), TNASPruner(sampler), direction=direction
    )
    completed, pruned = (rows(study, s) for s in (TrialState.COMPLETE, TrialState.PRUNED))
    assert len(completed) + len(pruned) == 40 and len(pruned) >= 10
    assert np.mean([*map(gain, completed)]) > np.mean([*map(gain, pruned)]) + 0.3
    best = max(gain(SPACE.encode(t.params)) for t in study.trials)
    assert max(map(gain, completed)) > best - 0.5


def test_the_same_training_finds_better_architectures() -> None:
    def best_after(n_steps: int, pruner: optuna.pruners.BasePruner, seed: int) -> float:
        study = optuna.create_study(
            direction="maximize", sampler=sampler_of(SPACE, seed), pruner=pruner
        )
        study.optimize(training(SPACE, value_of=rugged), n_trials=n_steps // 2)
        best = -np.inf
        for trial in study.trials:
            n_steps -= len(trial.intermediate_values)
            if n_steps >= 0 and trial.state == TrialState.COMPLETE:
                best = max(best, trial.value or -np.inf)
        return best

    pruned, never = (
        [best_after(80, pruner, seed) for seed in range(5)]
        for pruner in (TNASPruner(sampler_of(SPACE)), NopPruner())
    )
    assert np.mean(pruned) > np.mean(never) + 0.2


def test_the_first_training_ends_however_bad_its_reports_are() -> None:
    study = optuna.create_study(pruner=TNASPruner(sampler_of(SPACE)))
    trial = study.ask(SPACE.distributions())
    trial.report(float("inf"), 1)
    assert not trial.should_prune()


def test_a_training_that_has_ended_is_not_stopped() -> None:
    study = search(sampler_of(SPACE), TNASPruner(sampler_of(SPACE)), n_trials=8)
    trial = study.ask(SPACE.distributions())
    trial.report(-1e9, LAST)
    assert not trial.should_prune()
    trial = study.ask(SPACE.distributions())
    trial.report(-1e9, 1)
    assert trial.should_prune()


def test_warm_up_and_patience() -> None:
    sampler = sampler_of(SPACE)
    warm = search(sampler, TNASPruner(sampler, n_warmup_steps=3), 20)
    patient = search(sampler, PatientPruner(TNASPruner(sampler), patience=1), 20)
    for study in (warm, patient):
        assert all((t.last_step or 0) >= 3 for t in study.get_trials(states=(TrialState.PRUNED,)))


def test_trials_without_an_architecture_of_the_space_are_left_alone() -> None:
    sampler = sampler_of(SPACE)
    study = search(sampler, TNASPruner(sampler), n_trials=5)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(-1e9, 1)
    assert not trial.should_prune()


@pytest.mark.slow
def test_spaces_that_cannot_be_listed() -> None:
    assert not LONG.enumerable
    sampler = sampler_of(LONG)
    study = search(sampler, TNASPruner(sampler), n_trials=15, space=LONG)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_hyperparameters_beside_the_architecture() -> None:
    def train(trial: Trial) -> float:
        rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
        value = gain(SPACE.encode(SPACE.suggest(trial))) - abs(np.log10(rate) + 2)
        report(trial, dict.fromkeys(range(1, LAST + 1), value))
        return value

    sampler = sampler_of(SPACE)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=TNASPruner(sampler))
    study.optimize(train, n_trials=12)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.parametrize("steps", [[0, 1], [10, 20], [5, 3]])
def test_steps_may_begin_anywhere_and_come_in_any_order(steps: list[int]) -> None:
    def train(trial: Trial) -> float:
        value = gain(SPACE.encode(SPACE.suggest(trial)))
        report(trial, dict.fromkeys(steps, value))
        return value

    sampler = sampler_of(SPACE)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=TNASPruner(sampler))
    study.optimize(train, n_trials=12)
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) > 0


def test_the_same_reports_are_judged_alike() -> None:
    sampler = sampler_of(SPACE)
    study = search(sampler, TNASPruner(sampler), n_trials=8)
    trial = study.ask(SPACE.distributions())
    trial.report(1.0, 1)
    again = TNASPruner(sampler_of(SPACE))
    verdicts = {
        pruner.prune(study, study._storage.get_trial(trial._trial_id))
        for pruner in (study.pruner, again, study.pruner)
    }
    assert len(verdicts) == 1


def test_it_needs_a_sampler_that_learns_from_unfinished_trials() -> None:
    with pytest.raises(OptunaTNASError, match="consider_pruned_trials=True"):
        TNASPruner(sampler_of(SPACE, consider_pruned_trials=False))
    paper = TNASSampler(MetaSurrogate(SPACE, Config.preset("paper")))
    with pytest.raises(OptunaTNASError, match="'paper'"):
        TNASPruner(paper)
