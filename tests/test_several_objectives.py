"""Searches with several objectives."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
import logging
import math
from pathlib import Path
from typing import Any

from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.testing.pytest_samplers import MultiObjectiveSamplerTestCase
from optuna.trial import Trial
import pytest
import torch

from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import ObjectiveError
from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.errors import StudyError
from optuna_tnas.meta.training import past_studies
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.surrogate.past import PastStudies
from tests.searches import n_different
from tests.searches import params
from tests.searches import sampler_of
from tests.small_config import SMALL


class TestSuite(MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TNASSampler(space=NASBench201Space(), seed=0)


OPS = ["skip", "pool", "conv", "wide"]
CHAIN = [Node(name, OPS, [before]) for before, name in zip("abc", "bcd", strict=True)]
SPACE = CellSpace([Node("a", OPS), *CHAIN])  # 256 networks
X = SPACE.enumerate()
UP, DOWN = "maximize", "minimize"


def gain(row: np.ndarray) -> float:
    return float((row * [1.0, 0.8, 0.6, 0.4]).sum() + np.sin(row.sum()))


def latency(row: np.ndarray) -> float:
    """Grows with what is gained."""
    return float(row.sum() + (row[:-1] * row[1:]).sum() / 2)


def size(row: np.ndarray) -> float:
    return float((row == 3).sum())


def depth(row: np.ndarray) -> float:
    return float((row > 0).sum())


Function = Callable[[np.ndarray], float]


def measuring(functions: Sequence[Function]) -> Callable[[Trial], list[float]]:
    def train(trial: Trial) -> list[float]:
        row = SPACE.encode(SPACE.suggest(trial))
        return [f(row) for f in functions]

    return train


def search(
    functions: Sequence[Function] = (gain, latency),
    directions: Sequence[str] = (UP, DOWN),
    n_trials: int = 20,
    sampler: BaseSampler | None = None,
    storage: str | None = None,
    names: Sequence[str] = (),
) -> Study:
    study = optuna.create_study(
        directions=directions, sampler=sampler or sampler_of(SPACE), storage=storage
    )
    if names:
        study.set_metric_names([*names])
    study.optimize(measuring(functions), n_trials=n_trials)
    return study


def hypervolume(values: np.ndarray, reference: np.ndarray) -> float:
    Y = torch.from_numpy(np.asarray(values, dtype=np.float64))
    Y = Y[is_non_dominated(Y)]
    return float(Hypervolume(torch.from_numpy(reference)).compute(Y))


def share(study: Study) -> float:
    """Part of the hypervolume of the whole space that the search with gain and latency found."""
    everything = np.array([[gain(row), -latency(row)] for row in X])
    reference = everything.min(axis=0)
    found = np.array([trial.values for trial in study.trials]) * [1, -1]
    return hypervolume(found, reference) / hypervolume(everything, reference)


NASBENCH = NASBench201Space()


def accuracy(row: np.ndarray) -> float:
    """Grows with convolutions, ever less, and with a skip connection."""
    convolutions = (row == 2).sum() + 1.5 * (row == 3).sum()
    return float(convolutions**0.5 + 0.5 * (row == 1).any() - 0.1 * (row == 0).sum())


def milliseconds(row: np.ndarray) -> float:
    return float(np.array([0.0, 0.1, 0.6, 1.0, 0.4])[row].sum())


def nasbench_share(sampler: BaseSampler, n_trials: int = 20) -> float:
    """Part of the hypervolume of all cells that a search with accuracy and latency found."""
    study = optuna.create_study(directions=[UP, DOWN], sampler=sampler)
    study.set_metric_names(["accuracy", "milliseconds"])

    def train(trial: Trial) -> tuple[float, float]:
        row = NASBENCH.encode(NASBENCH.suggest(trial))
        return accuracy(row), milliseconds(row)

    study.optimize(train, n_trials=n_trials)
    cells = NASBENCH.enumerate()[::3]
    everything = np.array([[accuracy(row), -milliseconds(row)] for row in cells])
    found = np.array([trial.values for trial in study.trials]) * [1, -1]
    reference = everything.min(axis=0)
    return hypervolume(found, reference) / hypervolume(everything, reference)


def test_a_search_finds_more_of_the_front_than_random_ones() -> None:
    """In each of the paired seeds."""
    for seed in range(3):
        found = nasbench_share(TNASSampler(space=NASBENCH, seed=seed))
        assert found > nasbench_share(RandomSampler(seed=seed))


def test_flipped_directions_mirror_the_search() -> None:
    flipped = search([lambda row: -gain(row), lambda row: -latency(row)], [DOWN, UP])
    assert params(flipped) == params(search())


def test_the_order_of_objectives_changes_nothing_else() -> None:
    swapped = search([latency, gain], [DOWN, UP])
    assert params(swapped) == params(search())


@pytest.mark.parametrize("factor", [1e-9, 1e12])
def test_the_unit_of_an_objective_changes_nothing(factor: float) -> None:
    scaled = search([gain, lambda row: factor * latency(row)], n_trials=12)
    assert params(scaled) == params(search(n_trials=12))


def test_an_objective_that_is_constant_leaves_the_other() -> None:
    study = search([gain, lambda row: 1.0], n_trials=25)
    assert n_different(study.trials, SPACE) == 25
    best = max(gain(row) for row in X)
    assert max(t.values[0] for t in study.trials) > best - 0.5


@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_one_infinite_value_is_survived(infinity: float) -> None:
    values = iter([1.0, 2.0, infinity])

    def odd(row: np.ndarray) -> float:
        return next(values, latency(row))

    study = search([gain, odd], n_trials=25)
    assert n_different(study.trials, SPACE) == 25
    rest = [t.values for t in study.trials if math.isfinite(t.values[1])]
    assert max(v[0] for v in rest) > max(gain(row) for row in X) - 1.0


def test_four_objectives() -> None:
    functions, directions = [gain, latency, size, depth], [UP, DOWN, DOWN, DOWN]
    study = search(functions, directions, n_trials=12)
    assert n_different(study.trials, SPACE) == 12
    trials = [study.ask() for _ in range(3)]
    assert len({tuple(SPACE.suggest(t).values()) for t in trials}) == 3


def test_measured_constraints_bound_the_front() -> None:
    """The front of feasible networks is found, and most trials are feasible."""

    def limited(trial: Trial) -> list[float]:
        row = SPACE.encode(SPACE.suggest(trial))
        trial.set_constraint("latency", latency(row) - 6.0)
        return [gain(row), size(row)]

    study = optuna.create_study(directions=[UP, DOWN], sampler=sampler_of(SPACE))
    study.optimize(limited, n_trials=30)
    feasible = np.array([row for row in X if latency(row) <= 6])
    everything = np.array([[gain(row), -size(row)] for row in feasible])
    met = [t for t in study.trials if t.constraints["latency"] <= 0]
    assert len(met) > 15
    found = np.array([[t.values[0], -t.values[1]] for t in met])
    reference = everything.min(axis=0) - 0.1
    assert hypervolume(found, reference) > 0.97 * hypervolume(everything, reference)


def test_known_constraints_hold() -> None:
    limit = {"latency": lambda p: latency(SPACE.encode(p)) - 6.0}
    study = search(sampler=sampler_of(SPACE, known_constraints=limit))
    assert all(t.values[1] <= 6 for t in study.trials)


def test_enqueued_and_fixed_parameters_are_kept() -> None:
    study = optuna.create_study(directions=[UP, DOWN], sampler=sampler_of(SPACE))
    names = [p.name for p in SPACE.parameters]
    study.enqueue_trial({names[0]: "wide"})
    study.optimize(measuring([gain, latency]), n_trials=7)
    study.enqueue_trial({names[1]: "pool"})
    study.optimize(measuring([gain, latency]), n_trials=2)
    assert study.trials[0].params[names[0]] == "wide"
    assert study.trials[7].params[names[1]] == "pool"
    assert n_different(study.trials, SPACE) == 9


def test_a_small_space_is_exhausted_before_anything_repeats() -> None:
    cell = CellSpace([Node("a", OPS), Node("b", OPS, ["a"])])
    study = optuna.create_study(directions=[UP, DOWN], sampler=sampler_of(cell))

    def train(trial: Trial) -> tuple[float, float]:
        row = cell.encode(cell.suggest(trial))
        return float(row.sum()), float(row[0])

    study.optimize(train, n_trials=18)
    assert n_different(study.trials[:16], cell) == 16


def test_large_spaces_and_hyperparameters() -> None:
    space = MobileNetV3Space()

    def train(trial: Trial) -> tuple[float, float]:
        row = space.encode(space.suggest(trial))
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        return float(row.sum()) - abs(math.log10(rate) + 2), float((row == 2).sum())

    study = optuna.create_study(directions=[UP, DOWN], sampler=sampler_of(space))
    study.optimize(train, n_trials=8)
    assert n_different(study.trials, space) == 8


# --- storages and workers -------------------------------------------------------------------


def test_same_seed_same_trials_in_every_storage_and_resumed(tmp_path: Path) -> None:
    in_memory = search(n_trials=10)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    in_database = search(n_trials=6, storage=url)
    resumed = optuna.load_study(
        study_name=in_database.study_name, storage=url, sampler=sampler_of(SPACE)
    )
    resumed.optimize(measuring([gain, latency]), n_trials=4)
    assert params(resumed) == params(in_memory)


def test_threads_never_take_the_same_network(
    run_together: Callable[[Callable[[Any], Any], list[Any]], list[Any]],
) -> None:
    study = optuna.create_study(directions=[UP, DOWN])

    def work(seed: int) -> None:
        mine = optuna.load_study(
            study_name=study.study_name, storage=study._storage, sampler=sampler_of(SPACE, seed)
        )
        mine.optimize(measuring([gain, latency]), n_trials=5)

    run_together(work, list(range(4)))
    assert n_different(study.trials, SPACE) == len(study.trials) == 20


# --- objectives that are known --------------------------------------------------------------

NAMES = ["gain", "latency"]
CHEAP = {"latency": lambda p: latency(SPACE.encode(p))}


def test_a_cheap_objective_helps() -> None:
    """In the mean over paired seeds."""
    known = {"milliseconds": lambda p: milliseconds(NASBENCH.encode(p))}
    shares = [
        [
            nasbench_share(TNASSampler(space=NASBENCH, seed=s, cheap_objectives=cheap), 12)
            for s in range(3)
        ]
        for cheap in (known, None)
    ]
    assert np.mean(shares[0]) > np.mean(shares[1])


def test_where_all_is_cheap_the_front_is_found_exactly() -> None:
    known = {**CHEAP, "gain": lambda p: gain(SPACE.encode(p))}
    study = search(n_trials=30, sampler=sampler_of(SPACE, cheap_objectives=known), names=NAMES)
    assert share(study) > 0.999


def test_each_architecture_is_asked_about_once() -> None:
    asked: list[dict[str, Any]] = []

    def counted(p: dict[str, Any]) -> float:
        asked.append(p)
        return latency(SPACE.encode(p))

    sampler = sampler_of(SPACE, cheap_objectives={"latency": counted})
    search(n_trials=8, sampler=sampler, names=NAMES)
    assert len(asked) == len({tuple(p.values()) for p in asked}) <= 256


def test_cheap_objectives_of_a_large_space() -> None:
    space = MobileNetV3Space()
    known = {"big": lambda p: float((space.encode(p) == 2).sum())}

    def train(trial: Trial) -> tuple[float, float]:
        row = space.encode(space.suggest(trial))
        return float(row.sum()), float((row == 2).sum())

    study = optuna.create_study(
        directions=[UP, DOWN], sampler=sampler_of(space, cheap_objectives=known)
    )
    study.set_metric_names(["sum", "big"])
    study.optimize(train, n_trials=8)
    assert n_different(study.trials, space) == 8


@pytest.mark.parametrize("names", [[], ["gain", "milliseconds"]])
def test_a_cheap_objective_that_the_study_lacks_is_refused(names: list[str]) -> None:
    sampler = sampler_of(SPACE, cheap_objectives=CHEAP)
    with pytest.raises(StudyError, match=r"'latency'.*set_metric_names"):
        search(n_trials=1, sampler=sampler, names=names)


def test_a_cheap_objective_that_fails_is_named() -> None:
    sampler = sampler_of(SPACE, cheap_objectives={"latency": lambda p: math.nan})
    with pytest.raises(ObjectiveError, match=r"cheap objective 'latency' returned NaN"):
        search(n_trials=7, sampler=sampler, names=NAMES)


def test_no_functions_are_refused_at_once() -> None:
    with pytest.raises(ObjectiveError, match="cheap_objectives cannot be"):
        sampler_of(SPACE, cheap_objectives={"latency": 5.0})


def test_a_cheap_objective_that_trials_contradict_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    known = {"latency": lambda p: -latency(SPACE.encode(p))}
    with caplog.at_level(logging.WARNING, "optuna.optuna_tnas"):
        search(n_trials=8, sampler=sampler_of(SPACE, cheap_objectives=known), names=NAMES)
    told = [r.getMessage() for r in caplog.records if "cheap objective" in r.getMessage()]
    assert len(told) == 1
    assert "'latency'" in told[0]


def test_upper_confidence_bounds_are_refused() -> None:
    with pytest.raises(OptunaTNASError, match=r"'ucb'.*2 objectives.*qei"):
        search(n_trials=1, sampler=sampler_of(SPACE, acquisition="ucb"))


# --- the past -------------------------------------------------------------------------------


def informed(metric: str | None = None) -> MetaSurrogate:
    """Knows a past study of gain."""
    surrogate = MetaSurrogate(SPACE, SMALL)
    past = SPACE.sample(60, np.random.default_rng(0))
    studies = [(past, np.array([gain(row) for row in past]), None)]
    surrogate.past = PastStudies.fit(surrogate.network, surrogate.structure, studies)
    surrogate.warm_starts = (past[:4],)
    surrogate.metrics = (metric,)
    return surrogate


def first(surrogate: MetaSurrogate, names: Sequence[str], functions: Sequence[Function]) -> Study:
    directions = [UP if f is gain else DOWN for f in functions]
    return search(functions, directions, 1, TNASSampler(surrogate, seed=0), names=names)


HIGH = np.quantile([gain(row) for row in X], 0.95)


def test_a_past_helps_the_objective_of_its_name() -> None:
    study = first(informed("gain"), ["latency", "gain"], [latency, gain])
    assert study.trials[0].values[1] > HIGH


@pytest.mark.parametrize("metric, names", [(None, []), (None, NAMES), ("gain", [])])
def test_without_names_it_helps_the_first_and_says_so_once(
    metric: str | None, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    sampler = TNASSampler(informed(metric), seed=0)
    with caplog.at_level(logging.INFO, "optuna.optuna_tnas"):
        study = search(n_trials=7, sampler=sampler, names=names)
    assert study.trials[0].values[0] > HIGH
    told = [r.getMessage() for r in caplog.records if "past" in r.getMessage()]
    assert len(told) == 1
    assert "first objective" in told[0]


def test_a_past_of_another_name_helps_none_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "optuna.optuna_tnas"):
        study = first(informed("error"), NAMES, [gain, latency])
    assert "'error'" in caplog.text
    untrained = MetaSurrogate(SPACE, SMALL)
    assert params(study) == params(first(untrained, NAMES, [gain, latency]))


def test_a_past_and_a_cheap_objective_begin_along_the_predicted_front() -> None:
    """No trial is needed for most of the front."""
    sampler = TNASSampler(informed("gain"), seed=0, cheap_objectives=CHEAP)
    study = search(n_trials=5, sampler=sampler, names=NAMES)
    random = [share(search(n_trials=5, sampler=RandomSampler(seed=s))) for s in range(10)]
    assert share(study) > max(random)


# --- a past of several objectives -----------------------------------------------------------


def history(functions: Mapping[str, Function], n: int = 60, seed: int = 0) -> MetaDataset:
    """A past study of these objectives."""
    past = search(
        [*functions.values()],
        [UP if f is gain else DOWN for f in functions.values()],
        n,
        RandomSampler(seed=seed),
        names=[*functions],
    )
    return MetaDataset.from_studies([past], SPACE)


BOTH = {"gain": gain, "latency": latency}
BRIEF = replace(SMALL, outer_steps=1)


@pytest.fixture(scope="module")
def experienced() -> MetaSurrogate:
    """Knows a past study of gain and latency."""
    return meta_train(history(BOTH), config=BRIEF, progress=False)


def test_the_first_trials_are_spread_over_the_front_that_the_past_predicts(
    experienced: MetaSurrogate,
) -> None:
    study = search(n_trials=5, sampler=TNASSampler(experienced, seed=0), names=NAMES)
    random = [share(search(n_trials=5, sampler=RandomSampler(seed=s))) for s in range(10)]
    assert share(study) > max(random)


def test_the_order_of_past_objectives_changes_nothing(experienced: MetaSurrogate) -> None:
    turned = copy(experienced)
    turned.past = past_studies(turned, history({"latency": latency, "gain": gain}))
    turned.metrics = experienced.metrics[::-1]
    turned.warm_starts = experienced.warm_starts[::-1]
    found = [
        params(search(n_trials=8, sampler=TNASSampler(s, seed=0), names=NAMES))
        for s in (turned, experienced)
    ]
    assert found[0] == found[1]


def test_each_objective_has_the_past_of_its_name_alone(experienced: MetaSurrogate) -> None:
    """As if there were a study for each metric, under the same weights."""
    separate = copy(experienced)
    separate.past = past_studies(experienced, history({"gain": gain}))
    separate.metrics, separate.warm_starts = ("gain",), experienced.warm_starts[:1]
    found = [
        params(search([gain], [UP], 6, TNASSampler(s, seed=0), names=["gain"]))
        for s in (experienced, separate)
    ]
    assert found[0] == found[1]


def test_a_study_of_one_past_objective_starts_with_the_best_by_it(
    experienced: MetaSurrogate,
) -> None:
    sampler = TNASSampler(experienced, seed=0)
    study = search([latency], [DOWN], 3, sampler, names=["latency"])
    low = np.quantile([latency(row) for row in X], 0.05)
    assert study.trials[0].value < low
    why = sampler.explain(study, study.trials[0])
    assert (why.phase, list(why.sources)) == ("past", [sampler.surrogate.past_names[1]])
    assert list(sampler.source_weights(study)) == list(why.sources)


def test_an_objective_that_no_past_knows_starts_without_and_is_told_once(
    experienced: MetaSurrogate, caplog: pytest.LogCaptureFixture
) -> None:
    functions, names = [gain, size, latency], ["gain", "size", "latency"]
    with caplog.at_level(logging.INFO, "optuna.optuna_tnas"):
        study = search(
            functions, [UP, DOWN, DOWN], 8, TNASSampler(experienced, seed=0), names=names
        )
    assert n_different(study.trials, SPACE) == 8
    assert [r.getMessage() for r in caplog.records if "past" in r.getMessage()] == [
        "No past study is of the objectives ['size'], which start without a past."
    ]


def test_same_trials_after_a_checkpoint_and_a_resume(
    experienced: MetaSurrogate, tmp_path: Path
) -> None:
    experienced.save(tmp_path / "meta.pt")
    whole = search(n_trials=9, sampler=TNASSampler(experienced, seed=3), names=NAMES)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    begun = search(n_trials=6, storage=url, names=NAMES, sampler=TNASSampler(experienced, seed=3))
    resumed = optuna.load_study(
        study_name=begun.study_name,
        storage=url,
        sampler=TNASSampler.load(tmp_path / "meta.pt", seed=3),
    )
    resumed.optimize(measuring([gain, latency]), n_trials=3)
    assert params(resumed) == params(whole)


def test_a_past_of_a_constraint_helps_the_constraint(experienced: MetaSurrogate) -> None:
    """More trials than without it are feasible, in the sum over seeds."""

    def n_feasible(surrogate: MetaSurrogate, seed: int) -> int:
        study = optuna.create_study(
            direction="maximize", sampler=TNASSampler(surrogate, seed=seed)
        )
        study.set_metric_names(["gain"])

        def limited(trial: Trial) -> float:
            row = SPACE.encode(SPACE.suggest(trial))
            trial.set_constraint("latency", latency(row) - 4.0)
            return gain(row)

        study.optimize(limited, n_trials=8)
        return sum(t.constraints["latency"] <= 0 for t in study.trials)

    only_gain = meta_train(history({"gain": gain}), config=BRIEF, progress=False)
    known, unknown = (
        sum(n_feasible(surrogate, seed) for seed in range(3))
        for surrogate in (experienced, only_gain)
    )
    assert known > unknown


def test_predictions_are_of_each_objective() -> None:
    study = search(n_trials=25)
    rows = X[::17]
    mean, deviation = study.sampler.predict(study, [SPACE.decode(row) for row in rows])
    assert mean.shape == deviation.shape == (len(rows), 2)
    for j, f in enumerate((gain, latency)):
        true = np.array([f(row) for row in rows])
        assert np.corrcoef(mean[:, j], true)[0, 1] > 0.8
        assert (deviation[:, j] > 0).all()
