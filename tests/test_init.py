"""The public names, each loaded when first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import optuna_tnas


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("torch", "optuna", "botorch", "gpytorch", "numpy", "networkx", "sklearn")
    code = f"import sys, optuna_tnas; print([m for m in {heavy} if m in sys.modules])"
    assert run(code).strip() == "[]"


def test_spaces_and_errors_load_without_torch() -> None:
    code = (
        "import sys, optuna_tnas.spaces as s; from optuna_tnas import OptunaTNASError; "
        "s.NASBench201Space().sample; print('torch' in sys.modules)"
    )
    assert run(code).strip() == "False"


@pytest.mark.parametrize("name", optuna_tnas.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(optuna_tnas, name)
    assert value.__name__ == name
    assert value.__module__.startswith("optuna_tnas.")
    assert value.__doc__
    assert name in dir(optuna_tnas)


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from optuna_tnas import *", names)
    assert set(optuna_tnas.__all__) <= names.keys()


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match=r"'optuna_tnas' has no attribute 'TNASampler'"):
        _ = optuna_tnas.TNASampler
    assert not hasattr(optuna_tnas, "torch")


def test_dir_lists_modules_internals_too() -> None:
    listed = dir(optuna_tnas)
    assert listed == sorted(listed)
    assert "__doc__" in listed
