"""The registry's entry: it loads, passes Optuna's suites, and its example runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import runpy

import optuna
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.testing.pytest_samplers import MultiObjectiveSamplerTestCase
from optuna.testing.pytest_samplers import RelativeSamplerTestCase
import optuna_tnas
from optuna_tnas.spaces import NASBench201Space
import optunahub
import pytest


PACKAGE = Path(__file__).parents[1]
REGISTRY = PACKAGE.parents[1]


def load() -> type[optuna_tnas.TNASSampler]:
    module = optunahub.load_local_module("samplers/tnas", registry_root=str(REGISTRY))
    sampler: type[optuna_tnas.TNASSampler] = module.TNASSampler
    return sampler


class TestTNASSampler(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: load()(space=NASBench201Space(), n_startup_trials=1, seed=0)


def test_the_entry_is_the_installed_package() -> None:
    assert load() is optuna_tnas.TNASSampler


def test_the_readme_has_the_registrys_form() -> None:
    _, front, body = (PACKAGE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    names = [line.partition(":")[0] for line in front.splitlines()]
    assert names == ["author", "title", "description", "tags", "optuna_versions", "license"]
    assert "tags: [sampler," in front
    assert "license: MIT License" in front
    assert optuna.__version__.split(".")[0] in front.partition("optuna_versions: [")[2]
    sections = [line for line in body.splitlines() if line.startswith("## ")]
    wanted = ["Abstract", "APIs", "Installation", "Example", "Others"]
    assert sections == [f"## {name}" for name in wanted]
    assert "<" not in body  # no HTML


def test_the_example_and_the_readmes_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def local(package: str) -> object:
        return optunahub.load_local_module(package, registry_root=str(REGISTRY))

    monkeypatch.setattr(optunahub, "load_module", local)  # the registry's needs a network
    snippet = tmp_path / "readme.py"
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    snippet.write_text(readme.partition("```python\n")[2].partition("```")[0], encoding="utf-8")
    for script in (PACKAGE / "example.py", snippet):
        study = runpy.run_path(str(script), run_name="__main__")["study"]
        assert len(study.trials) == 10


def test_nothing_else_belongs_to_the_entry() -> None:
    files = {p.name for p in PACKAGE.iterdir() if p.name != "__pycache__"}
    assert files == {
        "__init__.py",
        "README.md",
        "LICENSE",
        "example.py",
        "requirements.txt",
        "tests",
    }
