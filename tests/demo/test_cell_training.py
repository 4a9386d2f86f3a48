from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import math

import numpy as np
import pytest
import torch

from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.demo.cell_training import Result
from optuna_tnas.demo.cell_training import train_and_evaluate
from optuna_tnas.errors import DatasetError


TINY = Recipe(width=4, cells_per_stage=1, resolution=8, epochs=2, batch_size=16)
CONV = ("nor_conv_3x3",) * 6
NONE = ("none",) * 6
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, and far slower on busy cores."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def bright_and_dark(n: int = 150, channels: int = 1, size: int = 9) -> Arrays:
    """Three classes that differ in brightness; a third of each is held out."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    noise = rng.integers(0, 60, (n, size, size, channels))
    images = (noise + 90 * labels[:, None, None, None]).astype(np.uint8)
    return images, labels, (np.arange(n) // 3 % 3 == 2).astype(np.uint8)


def run(
    ops: tuple[str, ...] = CONV,
    arrays: Arrays | None = None,
    recipe: Recipe = TINY,
    seed: int = 0,
) -> Result:
    return train_and_evaluate(ops, *(arrays or bright_and_dark()), recipe, seed)


def measured(result: Result) -> tuple[float, float, int]:
    return result.log_loss, result.accuracy, result.n_parameters


@pytest.mark.parametrize("channels", [1, 3])
def test_an_easy_task_is_learned(channels: int) -> None:
    result = run(arrays=bright_and_dark(channels=channels), recipe=replace(TINY, epochs=8))

    assert result.accuracy > 0.9
    assert result.log_loss < 0.5
    assert result.seconds > 0


def test_a_cell_without_a_path_trains_and_learns_only_the_classes_shares() -> None:
    result = run(NONE, recipe=replace(TINY, epochs=5))

    assert result.log_loss == pytest.approx(math.log(3), abs=0.1)


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    assert measured(run()) == measured(run())
    assert run().log_loss != run(seed=1).log_loss


def test_global_random_states_and_threads_are_left_alone() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1], torch.get_num_threads()  # type: ignore[index]

    run()

    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]
    assert torch.get_num_threads() == before[2]


def test_the_global_random_state_has_no_influence() -> None:
    torch.manual_seed(1)
    first = run()
    torch.manual_seed(2)

    assert measured(run()) == measured(first)


def test_a_diverged_network_gets_the_largest_finite_loss() -> None:
    result = run(recipe=replace(TINY, learning_rate=1e30))

    assert result.log_loss == pytest.approx(-math.log(1e-7))
    assert result.accuracy == 0


def test_the_log_loss_is_bounded_however_wrong_the_network_is() -> None:
    images, labels, split = bright_and_dark()
    swapped = np.where(split == 1, (labels + 1) % 3, labels)

    result = run(arrays=(images, swapped, split), recipe=replace(TINY, epochs=20))

    assert 2 < result.log_loss <= -math.log(1e-7) + 1e-4


def test_only_max_images_are_trained_on_and_the_same_ones_for_every_seed() -> None:
    images, labels, split = bright_and_dark()
    train = np.flatnonzero(split == 0)
    kept = np.random.default_rng(0).permutation(train)[:40]
    unused = np.setdiff1d(train, kept)
    spoiled = images.copy()
    spoiled[unused] = 255
    recipe = replace(TINY, max_images=40)

    for seed in (0, 1):
        expected = run(recipe=recipe, seed=seed)
        assert measured(run(arrays=(spoiled, labels, split), recipe=recipe, seed=seed)) == (
            measured(expected)
        )


def test_the_held_out_images_have_no_influence_on_training() -> None:
    images, labels, split = bright_and_dark()
    first = np.flatnonzero(split == 1)[:10]
    kept = np.setdiff1d(np.arange(len(split)), first)
    part = run(arrays=(images[kept], labels[kept], split[kept]))
    rest = np.setdiff1d(np.arange(len(split)), np.flatnonzero(split == 1)[10:])
    other = run(arrays=(images[rest], labels[rest], split[rest]))

    n_held_out = int((split == 1).sum())
    mean = (other.log_loss * 10 + part.log_loss * (n_held_out - 10)) / n_held_out
    assert run().log_loss == pytest.approx(mean, rel=1e-4)


def test_images_of_one_gray_value_train() -> None:
    images, labels, split = bright_and_dark()

    assert math.isfinite(run(arrays=(np.full_like(images, 7), labels, split)).log_loss)


@pytest.mark.parametrize("n_train", [1, 2, 5])
def test_a_handful_of_images_trains(n_train: int) -> None:
    images, labels, split = bright_and_dark()
    few = np.concatenate([np.flatnonzero(split == 0)[:n_train], np.flatnonzero(split == 1)])

    assert math.isfinite(run(arrays=(images[few], labels[few], split[few])).log_loss)


@pytest.mark.parametrize(("part", "name"), [(0, "held-out"), (1, "training")])
def test_an_empty_part_is_refused(part: int, name: str) -> None:
    images, labels, split = bright_and_dark()

    with pytest.raises(DatasetError, match=f"no {name} images"):
        run(arrays=(images, labels, np.full_like(split, part)))


def test_arrays_that_do_not_fit_are_refused() -> None:
    images, labels, split = bright_and_dark()

    with pytest.raises(DatasetError, match="N x H x W x C"):
        run(arrays=(images[..., 0], labels, split))
    with pytest.raises(DatasetError, match="N x H x W x C"):
        run(arrays=(images / 255, labels, split))
    with pytest.raises(DatasetError, match="one of each per image"):
        run(arrays=(images, labels[:-1], split))
    with pytest.raises(DatasetError, match="one of each per image"):
        run(arrays=(images, labels, split[:-1]))
    with pytest.raises(DatasetError, match="integers from 0"):
        run(arrays=(images, labels - 1, split))
    with pytest.raises(DatasetError, match="integers from 0"):
        run(arrays=(images, labels / 2, split))
