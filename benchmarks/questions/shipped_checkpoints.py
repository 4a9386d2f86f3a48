r"""Are the shipped checkpoints ahead on tasks that they have not seen?

    python -m benchmarks.questions.shipped_checkpoints \
        --space nasbench201x5 --target ninapro,darcy --out shipped.jsonl
    python -m benchmarks.questions.shipped_checkpoints \
        --space mobilenetv3 --target imagenet --out shipped.jsonl
    python -m benchmarks.questions.shipped_checkpoints \
        --space nasbench201x5 --target ninapro,darcy \
        --methods shipped_later,fresh_later --out shipped.jsonl

A checkpoint that has seen the target is built anew without it, by the same recipe, once a seed.
A search with one checkpoint has nothing random, so ``shipped`` is one search, whatever the seed.
``shipped_later`` begins with one random network, another one for each seed, and so does
``fresh_later`` with a meta-training on the other tasks of the family: these two are pairs.

The file is as ``benchmarks.run`` writes it; ``benchmarks.report`` compares the methods.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks import peers
from benchmarks import tasks
from benchmarks.build import ship_checkpoints
from benchmarks.past_settings import PastSetting
from benchmarks.run import drive
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from benchmarks.run import setting_of
from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler


METHODS = ("shipped", "shipped_later", "fresh_later")
CHECKPOINT_OF = {
    "nasbench201": "nasbench201",
    "nasbench201x5": "nasbench201",
    "mobilenetv3": "mobilenetv3",
}


def run_search(search: Search) -> list[Record]:
    """Search on the target with a surrogate that has not seen it."""
    family = tasks.load(search.space)
    task, first = family.tasks[search.target], []
    if search.method.endswith("_later"):
        rng = np.random.default_rng([search.seed, crc32(search.target.encode())])
        first = [family.space.decode(family.space.sample(1, rng)[0])]
    steps = drive(_sampler(search), family.space, task, search.trials, first)
    return [{**search.key, **step} for step in steps]


def _sampler(search: Search) -> BaseSampler:
    if search.method == "fresh_later":
        return peers.make("tnas", setting_of(search))
    surrogate = unbiased(CHECKPOINT_OF[search.space], search.target, search.seed, search.cache)
    return TNASSampler(surrogate, seed=search.seed)


def unbiased(name: str, target: str, seed: int, cache: Path) -> MetaSurrogate:
    """Load the shipped checkpoint or, if it has seen the target, one made without it."""
    shipped = MetaSurrogate.load(name)
    if target not in {study.split(".")[0] for study in shipped.provenance["tasks"]}:
        return shipped
    digest = crc32(repr(Config()).encode())
    path = cache / f"{name}-without-{target}-{seed}-{digest:08x}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        past = ship_checkpoints.history(name, [target])
        meta_train(past, seed=seed, progress=False).save(path)
    return MetaSurrogate.load(path)


def searches(
    space: str,
    targets: Sequence[str],
    methods: Sequence[str],
    seeds: int,
    trials: int,
    cache: Path,
) -> list[Search]:
    return [
        Search(space, target, method, seed, PastSetting(), trials, cache)
        for seed in range(seeds)
        for target in targets
        for method in methods
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--space", choices=sorted(CHECKPOINT_OF), required=True, help="family of tasks")
    add("--target", required=True, help="tasks to search on, separated by commas")
    add("--methods", default="shipped", help=f"of: {', '.join(METHODS)}")
    add("--seeds", type=int, default=10, help="searches per task")
    add("--trials", type=int, default=50, help="evaluations per search")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    methods = a.methods.split(",")
    if unknown := [name for name in methods if name not in METHODS]:
        parser.error(f"there is no method {unknown[0]!r}; choose of {', '.join(METHODS)}")
    cache = a.out.with_suffix(".meta")
    wanted = searches(a.space, a.target.split(","), methods, a.seeds, a.trials, cache)
    run(wanted, a.out, a.jobs, run_search)


if __name__ == "__main__":
    main()
