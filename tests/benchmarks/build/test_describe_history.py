from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.build import describe_history
from benchmarks.build.describe_history import Collected
from optuna_tnas import MetaDataset
from optuna_tnas.demo.shipped_history import shipped_history


@pytest.fixture(scope="module")
def history() -> MetaDataset:
    return shipped_history()


def collected(twice: np.ndarray) -> Collected:
    n = 50
    losses = np.exp(np.random.default_rng(0).standard_normal(n))
    return Collected(losses, np.ones(n) / 2, twice, np.ones(n), np.arange(n))


def test_noise_is_in_units_of_the_differences_between_cells() -> None:
    rng = np.random.default_rng(1)
    cell = rng.standard_normal(4000)
    for sd in (0.0, 0.3):
        twice = np.exp(cell[:, None] + sd * rng.standard_normal((4000, 2)))
        expected = sd / np.log(collected(twice).losses).std()
        assert describe_history.noise(collected(twice)) == pytest.approx(expected, abs=0.02)


def test_every_set_has_its_cells_and_a_tenth_of_them_twice(history: MetaDataset) -> None:
    sets = describe_history.collected()
    assert list(sets) == [task.name for task in history.tasks]
    for task in history.tasks:
        c = sets[task.name]
        np.testing.assert_array_equal(c.losses, -task.y)
        assert c.twice.shape == (10, 2)
        assert (c.twice[:, 0] != c.twice[:, 1]).any()
        assert set(c.twice[:, 0]) <= set(c.losses)


def test_shared_cells_are_the_same_on_all_sets(history: MetaDataset) -> None:
    losses = describe_history.shared_losses(history)
    assert losses.shape == (len(history.tasks), 30)
    for task, row in zip(history.tasks, losses, strict=True):
        assert set(row) <= set(-task.y)


def test_nearest_is_never_oneself() -> None:
    D = np.array([[0.0, 0], [0, 0], [5, 0], [6, 0]])
    assert describe_history.nearest(D).tolist() == [1, 0, 3, 2]


def test_descriptions_tell_image_sets_apart(history: MetaDataset) -> None:
    """Half of a set's points know the other half among the halves of all sets."""
    assert describe_history.halves_found(history) > 0.8


def test_pictures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    R, D = np.corrcoef(rng.standard_normal((5, 8))), rng.standard_normal((5, 4))
    describe_history.draw_correlations(R, "abcde", tmp_path / "r.png")
    describe_history.draw_datasets(D, "abcde", tmp_path / "d.png")
    for name in ("r.png", "d.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
