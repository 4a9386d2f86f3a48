"""Spaces by name; the commands' tests have the user's own."""

from __future__ import annotations

import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces.named import space_named


def test_the_packages_own_spaces() -> None:
    assert space_named("nasbench201").fingerprint == NASBench201Space().fingerprint
    assert space_named("mobilenetv3").fingerprint == MobileNetV3Space().fingerprint


def test_classes_are_called() -> None:
    found = space_named("optuna_tnas.spaces:NASBench201Space")
    assert found.fingerprint == NASBench201Space().fingerprint


def test_classes_that_need_arguments_are_refused() -> None:
    with pytest.raises(SpaceError, match="cannot be called without arguments"):
        space_named("optuna_tnas.spaces:CellSpace")
