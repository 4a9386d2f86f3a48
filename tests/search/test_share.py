from __future__ import annotations

import numpy as np
import pytest
import torch

from optuna_tnas.search.acquisition import PriorMean
from optuna_tnas.search.share import drawn
from optuna_tnas.search.share import ShareOf


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("share", [0.5, 0.25, 0.25**3, 1e-9])
@pytest.mark.parametrize("n", [1, 3, 100])
def test_a_share_is_some_of_the_candidates_in_their_order(share: float, n: int) -> None:
    candidates = np.arange(10, 10 + n)
    found = drawn(candidates, share, rng())
    assert len(found) == max(1, int(np.ceil(share * n)))
    assert list(found) == sorted({*found.tolist()} & {*candidates.tolist()})


def test_the_whole_draws_nothing() -> None:
    generator = rng()
    assert (drawn(np.arange(5), 1.0, generator) == np.arange(5)).all()
    assert generator.random() == rng().random()


def test_the_best_of_a_share_is_the_best_ever_so_often() -> None:
    x, allowed = torch.arange(40.0).double().unsqueeze(-1), np.arange(0, 40, 2)
    ranking = PriorMean(lambda x: x.squeeze(-1))
    chosen = [ShareOf(ranking, 0.25, rng(i)).best(x, allowed) for i in range(400)]
    assert {*chosen} <= {*allowed.tolist()}
    assert 0.15 < np.mean(np.array(chosen) == 38) < 0.35
