"""A sampler that is told features of architectures before training."""

from __future__ import annotations

from pathlib import Path
import pickle
from typing import Any

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import Trial
import pytest
import torch
from torch import nn

from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import FeatureError
from optuna_tnas.features import Counts
from optuna_tnas.features import Proxies
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import Space
from tests.small_config import SMALL


CELLS = NASBench201Space()
MOBILE = MobileNetV3Space()
RNG = np.random.default_rng(0)
SECRET = dict(zip(map(bytes, CELLS.enumerate()), RNG.permutation(15_625), strict=True))


def secret(params: dict[str, Any]) -> float:
    """A value that nothing in the architecture tells."""
    return float(SECRET[bytes(CELLS.encode(params))])


def telling(params: dict[str, Any]) -> dict[str, float]:
    return {"secret": np.exp(-secret(params) / 1e3), "nothing": 1.0, "missing": np.nan}


def sampler_of(space: Space = CELLS, seed: int = 0, **kwargs: Any) -> TNASSampler:
    return TNASSampler(MetaSurrogate(space, SMALL), seed=seed, **kwargs)


def search(sampler: TNASSampler, n_trials: int, objective: Any = None, **kwargs: Any) -> Study:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective or (lambda t: secret(CELLS.suggest(t))), n_trials, **kwargs)
    return study


def params(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def test_a_feature_that_tells_all_finds_the_best() -> None:
    with_it = search(sampler_of(features=telling), 20).best_value
    assert with_it > 15_600
    assert with_it > search(sampler_of(), 20).best_value


def test_whether_more_is_better_is_for_the_trials_to_say() -> None:
    def negated(params: dict[str, Any]) -> dict[str, float]:
        return {name: -value for name, value in telling(params).items()}

    found = [params(search(sampler_of(features=f), 8)) for f in (telling, negated)]
    assert found[0] == found[1]


def test_running_trials_are_kept_apart() -> None:
    study = search(sampler_of(features=telling), 6)
    asked = [study.ask() for _ in range(4)]
    found = [str(CELLS.suggest(trial)) for trial in asked]
    assert len(set(found)) == 4


def test_a_checkpoint_takes_features(checkpoint: Path) -> None:
    study = search(TNASSampler.load(checkpoint, features=telling, seed=0), 20)
    assert study.best_value > 15_000
    shipped = search(TNASSampler.load("nasbench201", features=telling, seed=0), 4)
    plain = search(TNASSampler.load("nasbench201", seed=0), 1)
    assert params(shipped)[0] == params(plain)[0]


def test_same_seed_same_trials_also_if_resumed() -> None:
    study = search(sampler_of(seed=3, features=telling), 8)
    assert params(study) == params(search(sampler_of(seed=3, features=telling), 8))
    resumed = search(sampler_of(seed=3, features=telling), 4)
    resumed.sampler = pickle.loads(pickle.dumps(resumed.sampler))
    resumed.optimize(lambda t: secret(CELLS.suggest(t)), n_trials=2)
    resumed.sampler = sampler_of(seed=3, features=telling)
    resumed.optimize(lambda t: secret(CELLS.suggest(t)), n_trials=2)
    assert params(study) == params(resumed)


def test_features_that_tell_nothing_change_nothing() -> None:
    plain = params(search(sampler_of(), 6))
    assert params(search(sampler_of(features=lambda p: {"a": 1.0, "b": np.nan}), 6)) == plain


def test_proxies_are_the_same_within_a_search() -> None:
    """Where gradients are off, and the caller's settings do not count."""
    chain = CellSpace([Node("a", list(LAYERS)), Node("b", list(LAYERS), ["a"])])
    generator = torch.Generator().manual_seed(0)
    proxies = Proxies(build, torch.randn(8, 3, 6, 6, generator=generator), torch.arange(8) % 3)
    seen: list[tuple[dict[str, Any], dict[str, float]]] = []

    def noted(params: dict[str, Any]) -> dict[str, float]:
        seen.append((params, proxies(params)))
        return seen[-1][1]

    sampler = TNASSampler(MetaSurrogate(chain, SMALL), features=noted, seed=0)
    with torch.no_grad():
        search(sampler, 6, lambda t: float(len(str(chain.suggest(t)))))
    assert len(seen) == 9
    for params, found in seen:
        assert found == pytest.approx(proxies(params), rel=1e-4, nan_ok=True)
        assert np.isfinite([found["snip"], found["synflow"], found["zen"]]).all()


LAYERS = {
    "conv": lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
    "norm": lambda: nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()),
    "skip": nn.Identity,
}


def build(params: dict[str, Any]) -> nn.Module:
    body = [LAYERS[op]() for op in params.values()]
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *body, nn.Flatten(), nn.Linear(64, 3))


def test_large_spaces_are_searched_with_features() -> None:
    counts = Counts(MOBILE)

    def objective(trial: Trial) -> float:
        return -abs(counts(MOBILE.suggest(trial))["macs"] / 1e6 - 250)

    with_it = search(sampler_of(MOBILE, features=counts), 12, objective)
    assert with_it.best_value > -10


def test_hyperparameters_beside_the_architecture_go_with_features(checkpoint: Path) -> None:
    def objective(trial: Trial) -> float:
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        return secret(CELLS.suggest(trial)) / 15_625 - abs(np.log10(rate) + 2)

    for sampler in (
        sampler_of(features=telling),
        TNASSampler.load(checkpoint, features=telling, seed=0),
    ):
        assert search(sampler, 12, objective).best_value > 0.4


def test_measured_constraints_go_with_features() -> None:
    def objective(trial: Trial) -> float:
        value = secret(CELLS.suggest(trial))
        trial.set_constraint("low", value - 10_000)
        return value

    study = search(sampler_of(features=telling), 20, objective)
    feasible = [v for t in study.trials if (v := t.value or 0.0) <= 10_000]
    assert max(feasible) > 9_500


def test_the_published_preset_has_no_place_for_features() -> None:
    paper = MetaSurrogate(CELLS, Config(**{**vars(SMALL), "gp": "paper"}))
    with pytest.raises(FeatureError, match='preset "paper"'):
        TNASSampler(paper, features=telling)


def test_a_function_that_fails_is_noticed_before_the_first_trial() -> None:
    with pytest.raises(FeatureError, match=r"KeyError\('width'\)"):
        sampler_of(features=lambda p: {"width": p["width"]})
