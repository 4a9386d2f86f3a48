from __future__ import annotations

import ast
from dataclasses import fields
from dataclasses import FrozenInstanceError
from dataclasses import replace
import inspect
from itertools import pairwise
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optuna_tnas import Config
from optuna_tnas import OptunaTNASError


def test_default_preset_is_the_default() -> None:
    assert Config.preset("default") == Config()


def test_paper_preset_has_the_papers_sizes() -> None:
    paper = Config.preset("paper")
    assert paper.architecture_hidden == 512
    assert paper.architecture_dim + paper.dataset_dim == 32
    assert paper.dataset_width == 16
    assert paper.dataset_heads == 4
    assert paper.joint_layers == (99, 50, 179, 194)
    assert paper.points_per_class == 20
    assert (paper.inner_steps, paper.outer_rate) == (1, 1.0)
    assert paper.n_warm_start == 5
    assert paper.gp == "paper"


def test_unknown_presets_are_refused_with_the_known_ones() -> None:
    with pytest.raises(OptunaTNASError, match=r"'Paper'.*'default'.*'paper'"):
        Config.preset("Paper")


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().batch_size = 3  # type: ignore[misc]
    assert len({Config(), Config(), Config(batch_size=3)}) == 2


# --- what is not possible -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("architecture_hidden", 0, "whole number above 0"),
        ("architecture_dim", -3, "whole number above 0"),
        ("dataset_dim", 8.0, "whole number above 0"),
        ("batch_size", True, "whole number above 0"),
        ("batch_size", np.int64(8), "whole number above 0"),
        ("patience", "5", "whole number above 0"),
        ("outer_steps", None, "whole number above 0"),
        ("dataset_heads", 0, "whole number above 0"),
        ("dataset_width", 30, "multiple of the heads"),
        ("joint_layers", (), "one or more"),
        ("joint_layers", (64, 0), "one or more"),
        ("joint_layers", [64, 32], "as a tuple"),
        ("joint_layers", 64, "one or more"),
        ("inner_rate", 0.0, "above 0"),
        ("inner_rate", float("nan"), "above 0"),
        ("inner_rate", float("inf"), "above 0"),
        ("inner_rate", "1e-3", "above 0"),
        ("outer_rate", 1.5, "at most 1"),
        ("outer_rate", -0.5, "above 0"),
        ("held_out", 0, "between 0 and 1"),
        ("held_out", 1.0, "between 0 and 1"),
        ("n_warm_start", -1, "0 or more"),
        ("gp", "fast", "default.*paper"),
        ("gp", ["default"], "default.*paper"),
    ],
)
def test_impossible_values_are_refused_by_name(
    name: str, value: Any, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(OptunaTNASError, match=rf"^{name} cannot be .*{remedy}") as refused:
        replace(Config(), **{name: value})
    shown = str(value) if name == "dataset_width" else repr(value)
    assert shown in str(refused.value)
    if isinstance(value, np.generic | list | tuple):
        return  # JSON has lists for tuples, and no numpy
    path = tmp_path / "config.json"
    path.write_text(json.dumps({name: value}))
    with pytest.raises(OptunaTNASError, match=rf"config\.json: {name} cannot be .*{remedy}"):
        Config.load(path)


def test_bounds_are_possible() -> None:
    Config(n_warm_start=0, outer_rate=1, inner_rate=1, joint_layers=(1,), dataset_width=4)


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [Config(), Config.preset("paper"), Config(joint_layers=(7,))])
def test_files_give_the_config_back(config: Config, tmp_path: Path) -> None:
    config.save(tmp_path / "config.json")
    assert Config.load(tmp_path / "config.json") == config


def test_what_a_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"inner_rate": 0.003, "joint_layers": [8, 4]}')
    assert Config.load(path) == Config(inner_rate=0.003, joint_layers=(8, 4))


@pytest.mark.parametrize(("stored", "name"), [("transfer", "default"), ("published", "paper")])
def test_earlier_names_of_the_gps_are_understood(stored: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"gp": stored}))
    config = Config.load(path)
    assert config.gp == name
    assert config.state()["gp"] == stored  # as version 3 of the checkpoints has it
    assert Config.from_state(config.state()) == config
    config.save(path)
    assert json.loads(path.read_text())["gp"] == name


def test_every_field_has_its_meaning_beside_it() -> None:
    (tree,) = ast.parse(inspect.getsource(Config)).body
    assert isinstance(tree, ast.ClassDef)
    documented = [
        field.target.id
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
    ]
    assert documented == [field.name for field in fields(Config)]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "cannot be read as a config"),
        ('{"inner_rate": 0.003', "cannot be read as a config"),
        ("[" * 100_000, "cannot be read as a config"),
        ("[1, 2]", r"one JSON object, not \[1, 2\]"),
        ('{"dropout": 0.1}', "no setting 'dropout', only .*inner_rate"),
        ('{"inner_rate": NaN}', "inner_rate cannot be nan"),
        ('{"joint_layers": [64, "32"]}', "joint_layers cannot be"),
    ],
)
def test_damaged_and_foreign_files_are_refused(content: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(OptunaTNASError, match=rf"config\.json.*{text}"):
        Config.load(path)


def test_binary_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00PK")
    for name in ("binary", "missing", "."):
        with pytest.raises(OptunaTNASError, match="cannot be read as a config"):
            Config.load(tmp_path / name)


def test_an_unwritable_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptunaTNASError, match=r"no-folder.*cannot be written"):
        Config().save(tmp_path / "no-folder" / "config.json")
