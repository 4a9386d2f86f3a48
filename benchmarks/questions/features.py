"""Does it help to know what a network says before it is trained?

    python -m benchmarks.questions.features --seeds 10 --out features.jsonl

NAS-Bench-201's cells on five tasks, with the 13 figures that NAS-Bench-Suite-Zero (Krishnakumar et
al., NeurIPS 2022) published of them on CIFAR-10, parameters and FLOPs among them, as features on
all five. ``METHOD:proxies`` is told them; ``:shuffled`` those of other cells, ``:negated`` them
times -1, ``:noise`` 20 normal numbers, ``:both`` them and the 20 numbers, ``:sizes`` parameters
and FLOPs alone.

``gp:proxies`` is botorch's Gaussian process on choices and the same normal scores, after five
random cells. ``best_proxy`` tries the cells in the order of the one figure that correlates most
with the task's true values, which nobody knows before; ``mean_rank`` in that of the mean score of
the eight that are meant as proxies. The file is as ``benchmarks.run`` writes it, for
``benchmarks.report``; at the end a table of mean regrets is printed, with the intervals of the
ratio to the same method without features.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler
from scipy.stats import spearmanr
import torch
from torch import Tensor

from benchmarks import tasks
from benchmarks.common import markdown
from benchmarks.past_settings import PastSetting
from benchmarks.peers._gp import first_of
from benchmarks.peers._gp import log_expected_improvement
from benchmarks.peers._gp import MaternGP
from benchmarks.peers._meta import meta_trained
from benchmarks.peers._one_hot import one_hot
from benchmarks.peers._sequential import random_initial
from benchmarks.peers._sequential import SequentialSampler
from benchmarks.peers._sequential import unseen_candidates
from benchmarks.report import statistics
from benchmarks.run import drive
from benchmarks.run import read_records
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import reading
from benchmarks.tasks import TableTask
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces.listing import Listing
from optuna_tnas.surrogate.known_features import ArchitectureFeatures
from optuna_tnas.surrogate.known_features import KnownFeatures


FAMILY = "nasbench201x5"
SPACE = NASBench201Space()
BUDGETS = (1, 5, 10, 20, 50)
GIVEN = ("proxies", "sizes", "shuffled", "negated", "noise", "both")
METHODS = (
    "tnas_untrained,tnas_untrained:proxies,tnas,tnas:proxies,tnas_untrained:shuffled,"
    "tnas_untrained:negated,tnas_untrained:noise,gp:proxies,best_proxy,mean_rank"
)
SIZES = ("params", "flops")
MEANT = ("fisher", "grad_norm", "grasp", "jacov", "nwot", "snip", "synflow", "zen")


@cache
def listing() -> Listing:
    return Listing(SPACE)


@cache
def published() -> Mapping[str, np.ndarray]:
    """Read the figures by name: ``C`` each, by the number of the network in the listing.

    Of cells that are the same network but for the order of its sums, those of one are taken.
    """
    figures = reading.table("nasbench201_zerocost_c10")
    ops = reading.table("nasbench201")["ops"].to_numpy()[figures["index"]]
    networks = listing().networks_of(reading.digits(ops))
    values = np.full((len(listing().first), len(figures.columns) - 1), np.nan)
    values[networks] = figures[figures.columns[1:]].to_numpy()
    names = [name.removeprefix("c10_") for name in figures.columns[1:]]
    return dict(zip(names, values.T, strict=True))


def table_of(given: str, seed: int) -> Mapping[str, np.ndarray]:
    """Make the features that a method is given, by name: ``C`` values each."""
    true, n = published(), len(listing().first)
    rng = np.random.default_rng([seed, 13])
    noise = {f"noise_{i}": rng.normal(size=n) for i in range(20)}
    order = rng.permutation(n)
    return {
        "proxies": true,
        "sizes": {name: true[name] for name in SIZES},
        "shuffled": {name: values[order] for name, values in true.items()},
        "negated": {name: -values for name, values in true.items()},
        "noise": noise,
        "both": {**true, **noise},
    }[given]


def features(given: str, seed: int) -> ArchitectureFeatures:
    """Look the features of a cell up."""
    known = table_of(given, seed)
    network = {row.tobytes(): i for row, i in zip(listing().X, listing().network, strict=True)}

    def look_up(params: dict[str, Any]) -> dict[str, float]:
        number = network[SPACE.encode(params).tobytes()]
        return {name: float(values[number]) for name, values in known.items()}

    return look_up


class _GP(MaternGP):
    """GP on one-hot choices and normal scores of features."""

    def __init__(self, X: np.ndarray, y: np.ndarray, known: KnownFeatures) -> None:
        self._known = known
        super().__init__(X, y, known)  # type: ignore[arg-type]

    def _inputs(self, X: np.ndarray) -> Tensor:
        # Scores vary about as much as numbers from 0 to 1, for which botorch's prior is made.
        return torch.cat([torch.from_numpy(one_hot(SPACE, X)), self._known(X) / 12**0.5], dim=1)


def gp_sampler(known: KnownFeatures, seed: int) -> SequentialSampler:
    """Maximize the expected improvement under a GP on choices and features."""

    def propose(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        gp = _GP(X, y, known)
        pool = unseen_candidates(SPACE, X, y, rng)
        values = log_expected_improvement(*gp.predict(pool), gp.y.max())
        return np.asarray(pool[first_of(values, rng)])

    return SequentialSampler(SPACE, propose, random_initial(SPACE, 5, seed), seed)


def ranking(method: str, task: TableTask) -> SequentialSampler:
    """Try the networks in the order of their proxies."""
    known = published()
    if method == "best_proxy":
        rows = listing().X[listing().first]
        true = np.array([task.evaluate(row).true for row in rows])
        rhos = {name: spearmanr(values, true).statistic for name, values in known.items()}
        name = max(rhos, key=lambda name: abs(rhos[name]))
        scores = np.sign(rhos[name]) * known[name]
    else:
        ranks = [known[name].argsort().argsort() for name in MEANT]
        scores = np.mean(ranks, axis=0)
    order = listing().X[listing().first[np.argsort(-scores, kind="stable")]]
    return SequentialSampler(SPACE, lambda X, y, rng: order[len(X)], order[:1], seed=0)


def sampler_of(search: Search) -> BaseSampler:
    """Make the sampler of a method."""
    method, _, given = search.method.partition(":")
    if method in ("best_proxy", "mean_rank"):
        task = tasks.load(FAMILY).tasks[search.target]
        assert isinstance(task, TableTask)
        return ranking(method, task)
    known = features(given, search.seed) if given else None
    if method == "gp":
        assert known is not None
        return gp_sampler(KnownFeatures(SPACE, known), search.seed)
    untrained = method == "tnas_untrained"
    surrogate = (
        MetaSurrogate(SPACE, seed=search.seed)
        if untrained
        else meta_trained(setting_of(search), "default")
    )
    return TNASSampler(surrogate, seed=search.seed, features=known)


def run_search(search: Search) -> list[Record]:
    """Search, and record every trial."""
    family = tasks.load(FAMILY)
    steps = drive(sampler_of(search), family, family.tasks[search.target], search.trials)
    return [{**search.key, **step} for step in steps]


def rows(records: Sequence[Record], methods: Sequence[str]) -> Iterator[Sequence[str]]:
    """Format mean regrets, and their ratios to those of the method without features.

    A method's seeds are those that it has on all tasks.
    """
    regrets = {(r["method"], r["target"], r["seed"], r["trial"] + 1): r["regret"] for r in records}
    targets = list(tasks.load(FAMILY).tasks)
    for method in methods:
        name, _, given = method.partition(":")
        plain = name if given and name in methods else method
        seeds = [
            seed
            for seed in sorted({r["seed"] for r in records})
            if all((m, t, seed, 1) in regrets for m in (method, plain) for t in targets)
        ]
        if not seeds:
            continue
        own, other = (
            np.array([[[regrets[m, t, s, b] for b in BUDGETS] for s in seeds] for t in targets])
            for m in (method, plain)
        )
        weights = np.full(len(targets), 1 / len(targets))
        means = own.mean(axis=(0, 1))
        cells = [f"{mean:.3f}" for mean in means]
        if method != plain:
            low, high = statistics.ratio_interval(own, other, weights)
            ratios = zip(cells, means / other.mean(axis=(0, 1)), low, high, strict=True)
            cells = [f"{mean} ({r:.2f} [{a:.2f}, {b:.2f}])" for mean, r, a, b in ratios]
        yield [method, str(len(seeds)), *cells]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--methods", default=METHODS, help="METHOD or METHOD:GIVEN, see above")
    add("--first-seed", type=int, default=0)
    add("--seeds", type=int, default=10, help="searches per method and task")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    methods = a.methods.split(",")
    cache = a.out.with_suffix(".meta")
    searches = [
        Search(FAMILY, target, method, seed, PastSetting(), max(BUDGETS), cache)
        for seed in range(a.first_seed, a.first_seed + a.seeds)
        for target in tasks.load(FAMILY).tasks
        for method in methods
    ]
    run(searches, a.out, a.jobs, run_search)
    heads = ["method", "seeds", *map(str, BUDGETS)]
    print("\n".join(markdown.table(heads, rows(read_records(a.out), methods))))


if __name__ == "__main__":
    main()
