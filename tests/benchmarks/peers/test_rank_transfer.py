from __future__ import annotations

import numpy as np

from benchmarks import peers
from benchmarks.peers._gp import past_gps
from tests.benchmarks.peers.toy import Toy


def test_order_of_the_mean_prediction(toy: Toy) -> None:
    setting = toy.setting()
    tried = toy.search(peers.make("rank_transfer", setting), 64)
    means = [gp.predict(tried)[0] for gp in past_gps(setting.history, toy.space)]
    assert (np.diff(np.mean(means, axis=0)) <= 1e-12).all()
    assert len(np.unique(tried, axis=0)) == 64


def test_goes_on_after_the_last(toy: Toy) -> None:
    assert len(toy.search(peers.make("rank_transfer", toy.setting()), 66)) == 66
