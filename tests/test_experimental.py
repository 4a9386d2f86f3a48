"""The warning names what is experimental and the line that used it."""

from __future__ import annotations

from optuna.exceptions import ExperimentalWarning
import pytest

from optuna_tnas.experimental import warn_experimental


def feature() -> None:
    warn_experimental("`feature`")


def test_the_warning_points_to_the_user() -> None:
    with pytest.warns(ExperimentalWarning, match=r"`feature` is .*may change") as caught:
        feature()
    assert [warning.filename for warning in caught] == [__file__]
