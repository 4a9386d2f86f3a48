"""Compare one-shot and black-box search on image sets, at equal CPU time; all is really trained.

    python -m benchmarks.live --datasets cifar10,mnist --methods tnas,gp,random,drnas \
        --seeds 3 --jobs 2 --out live.jsonl
    python -m benchmarks.live.report live.jsonl

Image set by image set: 60 random cells are trained, which are random search, the unit of time (the
mean of their CPU seconds) and the scale of regret; then the methods search; then every cell that
was the best at some time is trained anew with three other seeds and measured on the test images.
Black-box methods search until 50 units are spent. One-shot methods search once for each budget.

Each training and each search is kept as soon as it is done, in ``live.parts``; the same command
again, after whatever end, does just what is missing, and writes all to ``live.jsonl``. A training
is never done twice, but charged to all who ask for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path

from benchmarks.common.arguments import listed
from benchmarks.live.experiment import key_of
from benchmarks.live.experiment import run
from benchmarks.live.experiment import Search
from benchmarks.live.experiment import write
from benchmarks.live.rivals import BLACK_BOX
from benchmarks.live.rivals import EPOCHS
from benchmarks.live.rivals import ONE_SHOT
from benchmarks.live.rivals import PUBLISHED
from benchmarks.live.store import Store


# The settings of the one-shot methods were chosen on fashion_mnist and clothing_small.
DATASETS = (
    *("cifar10", "mnist", "emnist_letters", "omniglot_alphabets", "coil20", "sklearn_digits"),
    *("cifar100", "fgvc_aircraft20"),
)


def searches_of(a: argparse.Namespace, folder: Path) -> list[Search]:
    """List the searches, seed by seed."""
    methods = listed("method", a.methods, [*BLACK_BOX, *ONE_SHOT])
    datasets = listed("image set", a.datasets, DATASETS)
    budgets = [int(budget) for budget in a.budgets.split(",")]
    return [
        Search(dataset, method, seed, epochs, folder)
        for seed in range(a.seeds)
        for dataset in datasets
        for method in methods
        for epochs in _lengths(method, budgets, a.published and seed == 0)
    ]


def _lengths(method: str, budgets: Sequence[int], published: bool) -> list[int | None]:
    if method not in ONE_SHOT:
        return [None]
    epochs: list[int | None] = [EPOCHS[method][budget] for budget in budgets]
    return [*epochs, PUBLISHED[method]] if published else epochs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--datasets", default="all", help=f"image sets: {', '.join(DATASETS)}")
    add("--methods", default="all", help=f"of: {', '.join([*BLACK_BOX, *ONE_SHOT])}")
    add("--budgets", default="10,20,50", help="of one-shot methods, in cell trainings")
    add("--published", action="store_true", help="one-shot of the published length, too (seed 0)")
    add("--seeds", type=int, default=3, help="searches of each, with seeds 0, 1, ...")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    folder = a.out.with_suffix(".parts")
    store, searches = Store(folder), searches_of(a, folder)
    if a.out.exists():
        store.add([json.loads(line) for line in a.out.read_text().splitlines()], key_of)
    try:
        run(searches, folder, a.jobs)
    finally:
        write(store.records(), a.out)


if __name__ == "__main__":
    main()
