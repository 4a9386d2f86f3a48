from __future__ import annotations

from dataclasses import FrozenInstanceError

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
    assert paper.gp == "published"


def test_unknown_presets_are_refused_with_the_known_ones() -> None:
    with pytest.raises(OptunaTNASError, match=r"'Paper'.*'default'.*'paper'"):
        Config.preset("Paper")


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().batch_size = 3  # type: ignore[misc]
    assert len({Config(), Config(), Config(batch_size=3)}) == 2
