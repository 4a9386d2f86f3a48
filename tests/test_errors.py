from __future__ import annotations

import inspect

import pytest

from optuna_tnas import errors
from optuna_tnas.errors import OptunaTNASError


ALL = [error for _, error in inspect.getmembers(errors, inspect.isclass)]


def test_there_is_one_base_and_ten_kinds() -> None:
    assert len(ALL) == 11


@pytest.mark.parametrize("error", ALL)
def test_one_except_clause_catches_all(error: type[Exception]) -> None:
    with pytest.raises(OptunaTNASError, match="remedy"):
        raise error("the remedy")


@pytest.mark.parametrize("error", [e for e in ALL if e is not OptunaTNASError])
def test_each_kind_is_also_a_value_error(error: type[Exception]) -> None:
    assert issubclass(error, ValueError)
    assert error.__doc__
