"""Coordinates against Optuna's distributions: what they hold, how they draw."""

from __future__ import annotations

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution
import pytest

from optuna_tnas.spaces.hyperparameters import compatible
from optuna_tnas.spaces.hyperparameters import contradictory
from optuna_tnas.spaces.hyperparameters import coordinate
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.hyperparameters import united
from optuna_tnas.spaces.hyperparameters import value


DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "momentum": FloatDistribution(0.0, 0.99),
    "dropout": FloatDistribution(0.0, 0.5, step=0.1),
    "width": IntDistribution(16, 512, log=True),
    "layers": IntDistribution(1, 9, step=2),
    "tiny to huge": FloatDistribution(1e-300, 1e300, log=True),
    "longest": FloatDistribution(-1.7e308, 1.7e308),
    "optimizer": CategoricalDistribution(["sgd", "adam", None, True]),
}
ALL = Hyperparameters(DISTRIBUTIONS)
each = pytest.mark.parametrize("name", DISTRIBUTIONS)


def contains(distribution: BaseDistribution, value: object) -> bool:
    return distribution._contains(distribution.to_internal_repr(value))


@each
def test_what_is_drawn_is_what_the_distribution_holds(name: str) -> None:
    rows = ALL.sample(300, np.random.default_rng(0))
    drawn = [ALL.decode(row)[name] for row in rows]
    assert all(contains(DISTRIBUTIONS[name], v) for v in drawn)
    kinds = {type(v) for v in drawn}
    assert kinds <= {str, bool, type(None)} or len(kinds) == 1


@each
def test_a_value_has_one_coordinate(name: str) -> None:
    distribution = DISTRIBUTIONS[name]
    rows = ALL.sample(100, np.random.default_rng(1))
    for row in rows:
        v = ALL.decode(row)[name]
        again = value(distribution, coordinate(distribution, v))
        assert again == (v if isinstance(v, str | bool | None) else pytest.approx(v, rel=1e-9))
    i = ALL.names.index(name)
    np.testing.assert_array_equal(ALL.snapped(rows)[:, i], rows[:, i])


@pytest.mark.parametrize("name", ["layers", "dropout", "optimizer"])
def test_all_values_are_drawn_alike(name: str) -> None:
    drawn = [ALL.decode(row)[name] for row in ALL.sample(4000, np.random.default_rng(2))]
    counts = np.unique([str(v) for v in drawn], return_counts=True)[1]
    assert counts.min() > 0.8 * counts.mean()


def test_numbers_are_drawn_on_their_scale() -> None:
    drawn = [ALL.decode(row) for row in ALL.sample(4000, np.random.default_rng(3))]
    assert np.mean([v["rate"] < 1e-3 for v in drawn]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([v["momentum"] < 0.495 for v in drawn]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([v["longest"] < 0 for v in drawn]) == pytest.approx(0.5, abs=0.03)


def test_ends_and_beyond() -> None:
    rate = DISTRIBUTIONS["rate"]
    assert coordinate(rate, 1e-5) == pytest.approx(0) and coordinate(rate, 1e-1) == 1
    assert coordinate(rate, 1e-6) == pytest.approx(-0.25)
    assert value(rate, -0.25) == pytest.approx(1e-5) and value(rate, 3.0) == pytest.approx(0.1)
    assert value(DISTRIBUTIONS["layers"], 0.0) == 1 and value(DISTRIBUTIONS["layers"], 1.0) == 9


@pytest.mark.parametrize("wrong", [None, "adam", float("nan"), -1.0, 0.0])
def test_what_is_no_value_is_missing(wrong: object) -> None:
    assert np.isnan(coordinate(DISTRIBUTIONS["rate"], wrong))
    assert np.isnan(coordinate(DISTRIBUTIONS["optimizer"], "lion"))
    row = ALL.encode({"momentum": 0.5})
    assert np.isnan(row).sum() == len(ALL) - 1
    assert ALL.decode(row)["momentum"] == pytest.approx(0.5)


def test_conversion_is_of_each_value_by_itself() -> None:
    other = Hyperparameters(
        {
            "optimizer": CategoricalDistribution(["lion", True, "sgd"]),
            "rate": FloatDistribution(0, 1),
            "missing": FloatDistribution(0, 1),
            "layers": IntDistribution(1, 20, log=True),
        }
    )
    rng = np.random.default_rng(0)
    rows = ALL.sample(100, rng)[rng.integers(0, 100, 300)]
    rows[rng.random(rows.shape) < 0.2] = np.nan
    expected = [other.encode(ALL.decode(row)) for row in rows]
    np.testing.assert_array_equal(ALL.converted(rows, other), expected)
    assert ALL.converted(rows[:0], other).shape == (0, 4)


def test_what_is_missing_is_not_the_choice_none() -> None:
    assert np.isnan(ALL.encode({})).all()
    assert ALL.encode({"optimizer": None})[ALL.names.index("optimizer")] == 2


def test_neighbors_differ_in_one() -> None:
    row = ALL.sample(1, np.random.default_rng(4))[0]
    changed = ~np.isclose(ALL.neighbors(row), row, atol=1e-9)
    assert (changed.sum(axis=1) <= 1).all()  # 0 where a step is too small for another value
    assert changed.any(axis=0).all()


def test_united_ranges_are_the_widest() -> None:
    one = Hyperparameters({"a": FloatDistribution(0.1, 1, log=True), "b": IntDistribution(1, 4)})
    two = Hyperparameters(
        {
            "a": FloatDistribution(0.01, 0.5, log=True),
            "b": IntDistribution(3, 9),
            "c": CategoricalDistribution(["x", "y"]),
        }
    )
    three = Hyperparameters({"a": FloatDistribution(-1, 0.5), "c": CategoricalDistribution("yz")})
    assert united([one, two]).distributions == {
        "a": FloatDistribution(0.01, 1, log=True),
        "b": IntDistribution(1, 9),
        "c": CategoricalDistribution(["x", "y"]),
    }
    joined = united([one, two, three]).distributions
    assert joined["a"] == FloatDistribution(-1, 1)
    assert joined["c"] == CategoricalDistribution(["x", "y", "z"])


def test_numbers_and_choices_contradict_each_other() -> None:
    numbers = Hyperparameters({"a": FloatDistribution(0, 1), "b": IntDistribution(0, 3)})
    choices = Hyperparameters({"a": CategoricalDistribution([1, 2]), "b": FloatDistribution(0, 1)})
    assert contradictory([numbers, choices]) == ["a"]
    assert united([numbers, choices]).distributions["a"] == FloatDistribution(0, 1)
    assert compatible(FloatDistribution(0, 1), IntDistribution(1, 3, log=True))


def test_fingerprints_tell_names_and_ranges_apart() -> None:
    several = [
        {"a": IntDistribution(1, 3)},
        {"b": IntDistribution(1, 3)},
        {"a": IntDistribution(1, 4)},
    ]
    assert len({Hyperparameters(d).fingerprint for d in several}) == 3  # type: ignore[arg-type]
