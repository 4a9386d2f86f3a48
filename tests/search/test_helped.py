"""Which past helps which objective, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
import logging

import numpy as np
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas.search.helped import HelpedMetrics
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from optuna_tnas.surrogate.past import PastStudies
from tests.small_config import SMALL


SPACE = CellSpace([Node("a", ["u", "v", "w"])])
BOTH = ("accuracy", "latency")


def helped(*metrics: str | None, cheap: Sequence[str] = ()) -> HelpedMetrics:
    """One past study of each metric."""
    surrogate, X = MetaSurrogate(SPACE, SMALL), SPACE.enumerate()
    studies = [(X, np.arange(3.0), None) for _ in metrics]
    positions = range(len(metrics))
    surrogate.past = PastStudies.fit(
        surrogate.network, surrogate.structure, studies, metrics=positions
    )
    surrogate.metrics = metrics
    return HelpedMetrics(surrogate, cheap)


@pytest.mark.parametrize(
    ("metrics", "names", "expected"),
    [
        (BOTH, ["latency", "accuracy"], [1, 0]),
        (BOTH, ["energy", "latency"], [None, 1]),
        (BOTH, ["energy", "size"], [None, None]),
        (BOTH, [None, None], [0, None]),
        ((None, "latency"), ["accuracy", "latency"], [0, 1]),
        ((None, "latency"), ["latency", "accuracy"], [1, None]),
        (("latency", None), [None, None], [1, None]),
        ((None,), ["accuracy", "latency"], [0, None]),
        (BOTH, ["latency"], [1]),
        (BOTH, ["energy"], [None]),
        (BOTH, [None], [0]),
        ((None, "latency"), ["accuracy"], [0]),
        (("accuracy",), ["error"], [0]),
        ((None,), ["error"], [0]),
    ],
)
def test_the_past_of_an_objective(
    metrics: Sequence[str | None], names: Sequence[str | None], expected: Sequence[int | None]
) -> None:
    assert helped(*metrics).of_objectives(names) == expected


def test_the_past_of_a_constraint_has_its_name() -> None:
    assert helped(*BOTH).of_constraint("latency") == 1
    assert helped(*BOTH).of_constraint("energy") is None
    assert helped(None).of_constraint("energy") is None


@pytest.mark.parametrize(
    ("names", "level", "said"),
    [
        (["accuracy", "latency"], None, ""),
        (["accuracy", "size"], None, ""),  # which is cheap
        (["accuracy", "energy"], logging.INFO, "['energy']"),
        (["error", "energy"], logging.WARNING, "['accuracy', 'latency']"),
        (["error"], logging.WARNING, "['error']"),
        ([None, None], logging.INFO, "the past of accuracy"),
        ([None], logging.INFO, "the past of accuracy"),
    ],
)
def test_what_has_no_past_is_said_once(
    names: list[str | None], level: int | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    known = helped(*BOTH, cheap=["size"])
    with caplog.at_level(logging.INFO, "optuna.optuna_tnas"):
        for _ in range(3):
            known.of_objectives(names)
    assert [record.levelno for record in caplog.records] == [level] * (level is not None)
    assert said in caplog.text


def test_without_a_past_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "optuna.optuna_tnas"):
        untrained = HelpedMetrics(MetaSurrogate(SPACE, SMALL), [])
        assert untrained.of_objectives(["a", "b"]) == [None, None]
        assert untrained.of_objectives(["a"]) == [0]
    assert not caplog.records
