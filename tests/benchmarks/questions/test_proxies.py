from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from benchmarks.questions import proxies as module
from benchmarks.questions.proxies import Skeleton
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import count_parameters
from optuna_tnas.spaces import NASBench201Space


SPACE = NASBench201Space()


@pytest.mark.parametrize("seed", range(3))
def test_skeleton_has_the_published_number_of_parameters(seed: int) -> None:
    (row,) = SPACE.sample(1, np.random.default_rng(seed))
    params = SPACE.decode(row)
    network = Skeleton(list(params.values()))
    assert sum(p.numel() for p in network.parameters()) == count_parameters(SPACE, params)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.skipif(not os.environ.get("OPTUNA_TNAS_DATA"), reason="needs images and tables")
def test_sizes_agree_with_the_space() -> None:
    x, y = module.minibatch(4, 8, seed=1)
    assert x.shape == (4, 3, 8, 8) and y.shape == (4,)
    ours, theirs, _ = module.compare(3, x, y, width=4, cells_per_stage=1)
    known = {"width": 4, "cells_per_stage": 1, "resolution": 8}
    for counted, name in ((count_parameters, "parameters"), (count_macs, "macs")):
        published = module.reading.table("nasbench201_zerocost_c10").sample(3, random_state=0)
        ops = module.reading.table("nasbench201")["ops"].to_numpy()[published["index"]]
        rows = module.reading.digits(ops)
        assert ours[name].tolist() == [counted(SPACE, SPACE.decode(r), **known) for r in rows]
    assert theirs["macs"].tolist() == published["c10_flops"].tolist()
