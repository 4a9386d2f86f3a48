from __future__ import annotations

from pathlib import Path
import sys

import optuna
import pytest

from benchmarks.questions import many_workers
from benchmarks.questions.many_workers import Counted
from benchmarks.questions.many_workers import HEADS
from benchmarks.questions.many_workers import Setting


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the workers are forked")


@pytest.mark.parametrize("n_threads", [1, 2])
def test_workers_of_a_run_waste_and_lose_nothing(tmp_path: Path, n_threads: int) -> None:
    sampler = many_workers.warm_sampler()
    for n_workers in (1, 4):
        url = f"sqlite:///{tmp_path}/{n_workers}.db"
        setting = Setting(url, None, n_workers, 12 // n_workers, n_threads)
        row = dict(zip(HEADS, many_workers.run(setting, sampler), strict=True))
        assert row["trials"] == "12"
        assert (row["twice"], row["lost"], row["failed workers"]) == ("0", "0", "0")
        if n_workers == 1:  # four reads, a claim and three attributes
            assert row["claims given up"] == "0"
            assert float(row["at most"]) <= 8
        # Each attempt is three reads, the claim and its withdrawal; waiting reads more.
        assert float(row["calls a trial"]) < 19 + 11 * int(row["claims given up"])


def test_calls_are_counted_with_their_results() -> None:
    storage = optuna.storages.InMemoryStorage()
    counted = Counted(storage)
    study = optuna.create_study(storage=storage)
    before = counted.total
    assert storage.get_all_trials(study._study_id) == []
    assert counted.total == before + 1 == counted.mine
