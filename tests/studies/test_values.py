from __future__ import annotations

import numpy as np
import optuna
import pytest

from optuna_tnas.studies import values
from optuna_tnas.studies.observations import Metric


@pytest.mark.parametrize(("direction", "sign"), [("minimize", -1.0), ("maximize", 1.0)])
def test_higher_is_better(direction: str, sign: float) -> None:
    study = optuna.create_study(direction=direction)
    for value in (3.0, float("inf"), -2.0):
        study.tell(study.ask(), value)
    assert values.sign_of(study) == sign
    np.testing.assert_array_equal(
        values.values(study, study.trials), sign * np.array([3.0, np.inf, -2.0])
    )


def test_objectives_are_described_in_their_order() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    assert values.metrics_of(study) == [Metric(None, 1.0), Metric(None, -1.0)]
    study.set_metric_names(["accuracy", "ms"])
    assert values.metrics_of(study) == [Metric("accuracy", 1.0), Metric("ms", -1.0)]
    assert values.signs_of(study).tolist() == [1, -1]


def test_values_of_several_objectives_are_signed_each() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    none = values.all_values([], values.metrics_of(study))
    assert none.shape == (0, 2)
    study.tell(study.ask(), [0.5, 8.0])
    found = values.all_values(study.trials, values.metrics_of(study))
    np.testing.assert_array_equal(found, [[0.5, -8.0]])
