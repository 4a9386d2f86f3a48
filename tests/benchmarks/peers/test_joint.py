"""Peers where hyper-parameters are searched together with the architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botorch.models import SingleTaskGP
import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution
import pytest
import torch

from benchmarks import peers
from benchmarks.past_settings import past_studies
from benchmarks.past_settings import PastSetting
from benchmarks.peers import Setting
from benchmarks.peers._gp import GP
from benchmarks.peers._gp import gp_on
from benchmarks.peers._joint import JointSpace
from benchmarks.peers._sequential import unseen_candidates
from benchmarks.run import drive
from tests.benchmarks.joint_family import DISTRIBUTIONS
from tests.benchmarks.joint_family import joint_family
from tests.benchmarks.joint_family import SPACE


JOINT = JointSpace(SPACE, DISTRIBUTIONS)
METHODS = sorted(peers.JOINT - {"tnas"})
Params = dict[str, Any]


def setting(folder: Path, seed: int = 0) -> Setting:
    history = past_studies(joint_family(), "target", PastSetting(30), seed, folder)
    return Setting(SPACE, history, seed, folder / "meta", DISTRIBUTIONS)


def search(
    method: str, folder: Path, n: int = 12, seed: int = 0
) -> list[optuna.trial.FrozenTrial]:
    family, sampler = joint_family(), peers.make(method, setting(folder, seed))
    study, task = (
        optuna.create_study(direction="maximize", sampler=sampler),
        family.tasks["target"],
    )
    study.optimize(lambda trial: task.evaluate(family.encode(family.suggest(trial))).value, n)
    return study.trials


# --- rows -----------------------------------------------------------------------------------


def test_rows_and_parameters_of_each_other() -> None:
    for row in JOINT.sample(50, np.random.default_rng(0)):
        params = JOINT.decode(row)
        assert params.keys() == JOINT.distributions().keys()
        for name, d in JOINT.distributions().items():
            assert d._contains(d.to_internal_repr(params[name]))
        np.testing.assert_allclose(JOINT.encode(params), row, atol=0.1)  # integers are rounded
        again = JOINT.encode(JOINT.decode(JOINT.encode(params)))
        np.testing.assert_allclose(again, JOINT.encode(params), atol=1e-12)


def test_places_by_hand() -> None:
    params = {"op_a": "pool", "op_b": "skip", "lr": 1e-3, "batch": 8, "dropout": 0.45}
    row = JOINT.encode({**params, "schedule": "const"})
    np.testing.assert_allclose(row, [1, 2, 1 / 3, 0, 0.75, 1])
    np.testing.assert_allclose(JOINT.features(row[None])[0], [0, 1, 0, 0, 1, 1 / 3, 0, 0.75, 0, 1])


@pytest.mark.parametrize(
    "d",
    [
        FloatDistribution(-1, 2),
        FloatDistribution(1e-8, 1, log=True),
        FloatDistribution(0, 0.9, step=0.3),
        IntDistribution(3, 9),
        IntDistribution(4, 16, step=4),
        IntDistribution(1, 1000, log=True),
        CategoricalDistribution([None, True, "x"]),
    ],
)
def test_values_are_optunas(d: Any) -> None:
    """Whatever Optuna draws comes back, and what a row has is one of Optuna's values."""
    space = JointSpace(SPACE, {"x": d})
    trials = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for row in space.sample(20, np.random.default_rng(0)):
        drawn = {**space.decode(row), "x": trials.ask({"x": d}).params["x"]}
        assert space.decode(space.encode(drawn))["x"] == pytest.approx(drawn["x"])
        for end in (row, *space.perturb(np.tile(row, (20, 1)), np.random.default_rng(1))):
            assert d._contains(d.to_internal_repr(space.decode(end)["x"]))


def test_uniform_as_optuna_draws() -> None:
    places = JOINT.sample(4000, np.random.default_rng(0))
    np.testing.assert_allclose(places[:, 2:5].mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose([places[:, 1].mean(), places[:, 5].mean()], [1, 0.5], atol=0.05)


def test_perturbed_rows_differ_in_two_parameters_in_the_mean() -> None:
    """Of six, a third is drawn; a choice may be drawn as it was, numbers stay near."""
    rows = np.repeat(JOINT.sample(1, np.random.default_rng(0)), 4000, axis=0)
    near = JOINT.perturb(rows, np.random.default_rng(1))
    changed = (near != rows).mean(axis=0)
    drawn_as_it_was = np.array([1 / 2, 1 / 3, 0, 0, 0, 1 / 2])
    inside = np.array([0, 1, 2, 3, 4, 5])[(rows[0] > 0.01) & (rows[0] < 0.99)]
    np.testing.assert_allclose(changed[inside], (1 - drawn_as_it_was[inside]) / 3, atol=0.03)
    steps = (near - rows)[:, 2:5]
    assert 0.05 < np.abs(steps[steps != 0]).mean() < 0.2
    assert (near >= 0).all()
    assert (near[:, 2:5] <= 1).all()
    for row in near[:50]:
        assert SPACE.encode(JOINT.decode(row)).tolist() == row[:2].tolist()


def test_children_differ_in_one_parameter_all_alike_often() -> None:
    rng = np.random.default_rng(0)
    parent = JOINT.sample(1, rng)[0]
    children = np.array([JOINT.child(parent, rng) for _ in range(1200)])
    assert ((children != parent).sum(axis=1) == 1).all()
    times = (children != parent).sum(axis=0)
    np.testing.assert_allclose(times, 200, atol=50)
    np.testing.assert_allclose(children[children[:, 2] != parent[2], 2].mean(), 0.5, atol=0.1)


def test_candidates_are_new_and_some_are_near_the_best() -> None:
    rng = np.random.default_rng(0)
    X = JOINT.sample(20, rng)
    pool = unseen_candidates(JOINT, X, np.arange(20.0), rng)
    assert pool.dtype == np.float64
    assert len(np.unique(pool, axis=0)) == len(pool) > 1000
    same = (pool[:, None] == X[-10:]).sum(axis=2).max(axis=1)  # parameters shared with a best one
    assert (same >= 4).mean() > 0.2
    assert (same <= 3).mean() > 0.2


# --- Gaussian process -----------------------------------------------------------------------


def fitted(n: int) -> tuple[GP, np.ndarray]:
    rng = np.random.default_rng(n)
    X = JOINT.sample(n, rng)
    return gp_on(JOINT, X, 70 + 3 * X.sum(axis=1) + 0.1 * rng.normal(size=n)), X


@pytest.mark.parametrize("n", [2, 5, 40])
def test_posterior_is_botorchs(n: int) -> None:
    gp, X = fitted(n)
    y = 70 + 3 * X.sum(axis=1)
    new = JOINT.sample(9, np.random.default_rng(1))
    with torch.no_grad():
        posterior = gp.model.posterior(torch.from_numpy(JOINT.features(new)))
        scale = gp.model.outcome_transform.stdvs.item()
        center = gp.model.outcome_transform.means.item()
    mean, variance = gp.predict(new)
    np.testing.assert_allclose(center + scale * mean, posterior.mean[:, 0].numpy(), rtol=1e-6)
    np.testing.assert_allclose(
        scale**2 * variance, posterior.variance[:, 0].numpy(), rtol=1e-4, atol=1e-6
    )
    if n == 40:  # it learned the sum
        assert np.corrcoef(gp.predict(X)[0], y)[0, 1] > 0.95


def test_leave_one_out_is_a_gp_without_the_trial() -> None:
    gp, X = fitted(12)
    mean, variance = gp.leave_one_out()
    inputs = torch.from_numpy(JOINT.features(X))
    for i in range(len(X)):
        others = np.arange(len(X)) != i
        model = SingleTaskGP(
            inputs[others],
            torch.from_numpy(gp.y[others, None]),
            covar_module=gp.model.covar_module,
            mean_module=gp.model.mean_module,
            likelihood=gp.model.likelihood,
            outcome_transform=None,
        )
        with torch.no_grad():
            posterior = model.posterior(inputs[[i]])
        assert mean[i] == pytest.approx(posterior.mean.item(), rel=1e-5, abs=1e-8)
        assert variance[i] == pytest.approx(posterior.variance.item(), rel=1e-4)


# --- methods --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_sees_the_same_parameters(method: str, tmp_path: Path) -> None:
    """The distributions are the family's, no number stays what it was, and seeds repeat."""
    trials = search(method, tmp_path, 7)
    for trial in trials:
        assert trial.distributions == joint_family().distributions()
    for name in ("lr", "dropout"):
        assert len({trial.params[name] for trial in trials}) > 2
    assert [t.params for t in search(method, tmp_path, 7)] == [t.params for t in trials]


@pytest.mark.parametrize("method", ["rgpe", "warm_gp"])
def test_start_from_the_past(method: str, tmp_path: Path) -> None:
    """The past studies' best, in turns."""
    tried, history = search(method, tmp_path, 4), setting(tmp_path).history
    ranked = [sorted(study.trials, key=lambda t: -t.value) for study in history]
    expected = [ranked[0][0], ranked[1][0], ranked[0][1], ranked[1][1]]
    for trial, past in zip(tried, expected, strict=True):
        assert trial.params == pytest.approx(past.params)


@pytest.mark.parametrize("method", ["gp_ei", "warm_gp", "rgpe"])
def test_finds_better_than_random(method: str, tmp_path: Path) -> None:
    def regret(name: str) -> float:
        family, sampler = joint_family(), peers.make(name, setting(tmp_path))
        return list(drive(sampler, family, family.tasks["target"], 12))[-1]["regret"]

    assert regret(method) < 0.7 * regret("random")


def test_evolution_changes_one_parameter_of_a_young_parent(tmp_path: Path) -> None:
    tried = [trial.params for trial in search("evolution", tmp_path, 20)]
    for n in range(10, 20):
        changed = [sum(tried[n][k] != old[k] for k in old) for old in tried[n - 10 : n]]
        assert min(changed) <= 1  # a number drawn anew may round to the same integer


def test_methods_that_search_architectures_alone_are_refused(tmp_path: Path) -> None:
    for method in set(peers.names()) - peers.JOINT:
        with pytest.raises(ValueError, match=f"{method} searches no hyper-parameters"):
            peers.make(method, setting(tmp_path))
