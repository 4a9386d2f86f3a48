"""The shipped checkpoints on the yardstick's tasks.

    python -m benchmarks.shipped --space nasbench201x5 --target ninapro,darcy --out shipped.jsonl
    python -m benchmarks.shipped --space mobilenetv3 --target imagenet --out shipped.jsonl

A checkpoint that has seen the target is built anew without it, by the same recipe, once a seed.
The file is as ``benchmarks.run`` writes it, the method's name is ``shipped``;
``benchmarks.report`` compares it with others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from benchmarks import checkpoints
from benchmarks import tasks
from benchmarks.histories import Past
from benchmarks.run import drive
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from optuna_tnas import checkpoint
from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler


CHECKPOINT_OF = {
    "nasbench201": "nasbench201",
    "nasbench201x5": "nasbench201",
    "mobilenetv3": "mobilenetv3",
}


def run_search(search: Search) -> list[Record]:
    """Search on the target with what did not come from it."""
    family = tasks.load(search.space)
    surrogate = unbiased(CHECKPOINT_OF[search.space], search.target, search.seed, search.cache)
    sampler = TNASSampler(surrogate, seed=search.seed)
    steps = drive(sampler, family.space, family.tasks[search.target], search.trials)
    return [{**search.key, **step} for step in steps]


def unbiased(name: str, target: str, seed: int, cache: Path) -> MetaSurrogate:
    """The shipped checkpoint if it has not seen the target, otherwise one that has not."""
    shipped = checkpoint.load(name)
    if target not in {study.split(".")[0] for study in shipped.provenance["tasks"]}:
        return shipped
    digest = crc32(repr(Config()).encode())
    path = cache / f"{name}-without-{target}-{seed}-{digest:08x}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        past = checkpoints.history(name, [target])
        meta_train(past, seed=seed, progress=False).save(path)
    return checkpoint.load(path)


def searches(
    space: str, targets: Sequence[str], seeds: int, trials: int, cache: Path
) -> list[Search]:
    return [
        Search(space, target, "shipped", seed, Past(), trials, cache)
        for seed in range(seeds)
        for target in targets
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--space", choices=sorted(CHECKPOINT_OF), required=True, help="family of tasks")
    add("--target", required=True, help="tasks to search on, separated by commas")
    add("--seeds", type=int, default=10, help="searches per task")
    add("--trials", type=int, default=50, help="evaluations per search")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    cache = a.out.with_suffix(".meta")
    run(
        searches(a.space, a.target.split(","), a.seeds, a.trials, cache), a.out, a.jobs, run_search
    )


if __name__ == "__main__":
    main()
