"""Which parameters and choices the walk finds."""

from __future__ import annotations

from math import prod

from optuna.trial import BaseTrial
import pytest

from optuna_tnas.spaces.walk import name_of
from optuna_tnas.spaces.walk import Walk
from tests.spaces import builds


def nested(trial: BaseTrial) -> None:
    """Each parameter is asked for by the last choice of the one before."""
    for i in range(12):
        if trial.suggest_int(f"x_{i}", 0, 9) < 9:
            return


def test_single_conditions_are_followed_to_any_depth() -> None:
    """At random, the last parameter would be met once in 10^11 runs."""
    walk = Walk(nested, 1)
    assert list(walk.choices) == [f"x_{i}" for i in range(12)]
    assert walk.labels == {"input", "output"} | {
        f"x_{i}={v}" for i in range(12) for v in range(10)
    }


def test_every_choice_is_met() -> None:
    walk = Walk(builds.mlp, 1)
    assert len(walk.choices) == 17
    assert {f"linear_{w}" for w in range(16, 129, 16)} <= walk.labels
    assert walk.max_vertices <= 2 + 2 * 8


@pytest.mark.parametrize("build", [builds.short_mlp, builds.branches, builds.parameters_only])
def test_the_estimate_is_unbiased(build) -> None:
    walk = Walk(build, 4000)
    leaves = walk.leaves(1000)
    assert leaves is not None
    assert walk.size == pytest.approx(len(leaves), rel=0.1)
    assert len({tuple(leaf.path.items()) for leaf in leaves}) == len(leaves)


def test_the_estimate_is_exact_without_conditions() -> None:
    assert Walk(builds.many_labels, 3).size == prod([10] * 6)


def test_a_walk_that_is_too_long_is_given_up() -> None:
    assert Walk(builds.short_mlp, 1).leaves(599) is None
    found = Walk(builds.short_mlp, 1).leaves(600)
    assert found is not None and len(found) == 24 + 24**2


def test_functions_have_names() -> None:
    assert name_of(builds.mlp) == "tests.spaces.builds:mlp"
    assert name_of(builds.Drifting()) == "tests.spaces.builds:Drifting"
