"""Which methods there are, and how long a one-shot search of a budget is."""

from __future__ import annotations

from benchmarks.live.drnas import DrNAS
from benchmarks.live.gdas import GDAS
from benchmarks.live.oneshot import OneShot
from benchmarks.live.pcdarts import PCDARTS
from benchmarks.live.setn import SETN


ONE_SHOT: dict[str, type[OneShot]] = {
    "gdas": GDAS,
    "setn": SETN,
    "pcdarts": PCDARTS,
    "drnas": DrNAS,
}
# By the budget in cell trainings, one of which trains the found cell. Fixed in advance, by what an
# epoch and a derivation cost elsewhere, so that results repeat; what was really spent is reported.
EPOCHS: dict[str, dict[int, int]] = {
    "gdas": {10: 21, 20: 45, 50: 116},
    "setn": {10: 6, 20: 16, 50: 45},
    "pcdarts": {10: 6, 20: 13, 50: 35},
    "drnas": {10: 4, 20: 10, 50: 26},
}
PUBLISHED = {"gdas": 100, "setn": 100, "pcdarts": 50, "drnas": 100}  # epochs
BLACK_BOX = (
    *("tnas", "tnas_paper", "tnas_untrained", "metad2a", "rgpe", "warm_gp", "gp"),
    "random",
)
