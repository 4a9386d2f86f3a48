from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.past_settings import PastSetting
from benchmarks.questions import features as module
from benchmarks.run import Search
from benchmarks.tasks import reading


TARGETS = ("c10", "c100", "in16", "ninapro", "darcy")
pytestmark = pytest.mark.skipif(
    not os.environ.get("OPTUNA_TNAS_DATA"), reason="OPTUNA_TNAS_DATA is not set"
)


def search(method: str, trials: int, folder: Path) -> Search:
    return Search(module.FAMILY, "c10", method, 3, PastSetting(), trials, folder)


def test_figures_are_those_of_the_cell() -> None:
    """Of the cell itself, or of one that is the same network in another order."""
    figures = reading.table("nasbench201_zerocost_c10").set_index("index")
    ops = reading.table("nasbench201")["ops"]
    rows = reading.digits(ops[figures.index])
    networks = module.listing().networks_of(rows)
    once = np.flatnonzero(np.bincount(networks)[networks] == 1)
    look_up = module.features("proxies", seed=0)
    for i in once[::1500]:
        found = look_up(module.SPACE.decode(rows[i]))
        expected = figures.iloc[i]
        assert found == {name.removeprefix("c10_"): v for name, v in expected.items()}
    assert all(np.isfinite(values).all() for values in module.published().values())


@pytest.mark.parametrize("given", module.GIVEN)
def test_what_methods_are_given(given: str) -> None:
    true, found = module.published(), module.table_of(given, 3)
    assert len(found) == {"sizes": 2, "noise": 20, "both": 33}.get(given, 13)
    if given == "shuffled":
        assert all((np.sort(found[n]) == np.sort(true[n])).all() for n in true)
        assert not (found["nwot"] == true["nwot"]).all()
    if given == "negated":
        assert all((found[n] == -true[n]).all() for n in true)
    if given in ("noise", "shuffled"):
        other = module.table_of(given, 4)
        assert not any((found[n] == other[n]).all() for n in found)


@pytest.mark.parametrize("method", ["tnas_untrained", "tnas_untrained:proxies", "gp:proxies"])
def test_methods_search(method: str, tmp_path: Path) -> None:
    records = module.run_search(search(method, 7, tmp_path))
    assert len({r["network"] for r in records}) == 7


@pytest.mark.parametrize("method", ["best_proxy", "mean_rank"])
def test_rankings_try_the_highest_first(method: str, tmp_path: Path) -> None:
    sampler = module.sampler_of(search(method, 5, tmp_path))
    records = list(module.drive(sampler, module.SPACE, tasks.load(module.FAMILY).tasks["c10"], 5))
    assert len({r["network"] for r in records}) == 5
    assert records[0]["regret"] < 0.5


def test_ratios_are_to_the_method_without_features() -> None:
    rng = np.random.default_rng(0)
    base = {(t, s): rng.random() for t in TARGETS for s in range(4)}
    records = [
        {"method": m, "target": t, "seed": s, "trial": i, "regret": r * gain}
        for m, gain in (("tnas", 1.0), ("tnas:proxies", 0.5))
        for (t, s), r in base.items()
        for i in range(50)
    ]
    first, second = module.rows(records, ["tnas", "tnas:proxies"])
    mean = np.mean(list(base.values()))
    assert first == ["tnas", "4", *[f"{mean:.3f}"] * 5]
    assert second == ["tnas:proxies", "4", *[f"{mean / 2:.3f} (0.50 [0.50, 0.50])"] * 5]
