from __future__ import annotations

import numpy as np
import torch

from benchmarks.live.parts import divide
from benchmarks.live.parts import halves
from tests.benchmarks.live.tiny import arrays
from tests.benchmarks.live.tiny import RECIPE


def test_the_parts_are_disjoint_and_complete():
    images, labels, split = arrays()
    parts = divide(images, labels, split, RECIPE)
    sizes = [len(part.x) for part in (parts.train, parts.validation, parts.test)]
    assert sizes == [60, 15, 15]
    found = torch.cat([parts.train.y, parts.validation.y, parts.test.y])
    assert torch.equal(found.bincount(), torch.from_numpy(labels).bincount())
    assert parts.n_classes == 3
    assert parts.test.x.shape[1:] == (1, 8, 8)


def test_classes_are_halved():
    labels = np.repeat([0, 1, 2, 3], [1, 2, 5, 8])
    a, b = halves(np.arange(100, 116), labels)
    assert sorted([*a, *b]) == list(range(100, 116))
    counts = [np.bincount(labels[half - 100], minlength=4) for half in (a, b)]
    assert (np.abs(counts[0] - counts[1]) <= 1).all()
    assert abs(len(a) - len(b)) <= 1


def test_held_out_images_decide_nothing_about_the_others():
    images, labels, split = arrays()
    noisy = images.copy()
    noisy[split == 1] = np.random.default_rng(1).integers(0, 255, noisy[split == 1].shape)
    one, other = (divide(x, labels, split, RECIPE) for x in (images, noisy))
    assert torch.equal(one.train.x, other.train.x)
    assert not torch.equal(one.validation.x, other.validation.x)
