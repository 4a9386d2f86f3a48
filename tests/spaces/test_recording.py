"""The trial that a function is run with, against Optuna's own fixed trial."""

from __future__ import annotations

from typing import Any

from optuna.trial import FixedTrial
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.recording import Choices
from optuna_tnas.spaces.recording import distribution
from optuna_tnas.spaces.recording import RecordingTrial


def last(name: str, choices: Choices) -> Any:
    return choices[-1]


def ask(trial: Any) -> list[Any]:
    return [
        trial.suggest_categorical("kind", ["a", "b"]),
        trial.suggest_int("n", 2, 9, step=3),
        trial.suggest_categorical("flag", [None, True]),
        trial.suggest_int("n", 2, 9, step=3),
    ]


@pytest.mark.filterwarnings("ignore:The distribution is specified by")
def test_it_is_a_trial_to_the_function() -> None:
    trial = RecordingTrial(last)
    assert ask(trial) == ["b", 8, True, 8]
    assert trial.params == {"kind": "b", "n": 8, "flag": True}
    fixed = FixedTrial(trial.params)
    assert ask(fixed) == ask(trial)
    assert fixed.distributions == trial.distributions
    trial.set_user_attr("note", 1)
    trial.report(0.5, step=0)
    assert trial.user_attrs == {"note": 1} and not trial.should_prune()
    assert list(trial.asked) == ["kind", "n", "flag"]


def test_a_name_has_one_list_of_choices() -> None:
    trial = RecordingTrial(last)
    trial.suggest_int("n", 1, 3)
    with pytest.raises(
        SpaceError, match=r"'n' .*\[1, 2, 3\], elsewhere with 1 to 3 in steps of 1"
    ):
        trial.suggest_categorical("n", [1, 2, 3])


@pytest.mark.parametrize("suggest", ["suggest_float", "suggest_uniform", "suggest_loguniform"])
@pytest.mark.filterwarnings("ignore:suggest_")
def test_floats_are_refused(suggest: str) -> None:
    with pytest.raises(SpaceError, match=r"float 'x'.*suggest_float in the objective"):
        getattr(RecordingTrial(last), suggest)("x", 0.1, 1.0)


def test_distributions_hold_the_choices() -> None:
    integers = distribution(range(2, 9, 3))
    assert [x for x in range(12) if integers._contains(x)] == [2, 5, 8]
    assert integers.to_external_repr(8) == 8 and integers.step == 3  # type: ignore[attr-defined]
    assert distribution(("a", "b")).to_internal_repr("b") == 1
