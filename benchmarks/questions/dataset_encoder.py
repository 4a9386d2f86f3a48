"""Does it help to know the data set? Searches on image sets left out of the past.

    python -m benchmarks.questions.dataset_encoder --seeds 10 --jobs 2 --out imagesets.jsonl

The package's own history is the table: on each image set, the NAS-Bench-201 cells that were
trained on it are all there is to find. A third of the image sets, other ones for each seed, is
searched on with what the other two thirds taught. The default sampler has its data-set encoder, or
knows no data set, or is told four plain numbers of each instead of points. Values are minus
held-out log losses of one run, and regret is on them, so it is 0 once all cells were tried. The
file is as ``benchmarks.run`` writes it, for ``benchmarks.report``; each record also has its
search's ``spearman`` (of the prediction before the first trial with the values) and ``nlpd``
(negative log predictive density of the cells that are not among 20 random ones, given those; in
nats per cell, values standardized; null for ``metad2a``, which predicts no density). At the end a
table of all of it is printed. ``--methods metad2a`` adds MetaD2A, the peer of that name, which is
told the same as the data-set encoder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.stats import spearmanr
import torch

from benchmarks import peers
from benchmarks.common import markdown
from benchmarks.past_settings import PastSetting
from benchmarks.past_settings import studies_of
from benchmarks.peers import metad2a
from benchmarks.report import statistics
from benchmarks.run import drive
from benchmarks.run import read_records
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from benchmarks.tasks import Measurement
from optuna_tnas import Config
from optuna_tnas import DatasetSample
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.spaces import SubsetSpace
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.outcomes import scale_labels


N_FOLDS = 3
N_GIVEN = 20  # cells that the predictive density is conditioned on
BUDGETS = (1, 5, 10, 20, 50)


def meta_features(sample: DatasetSample) -> DatasetSample:
    """Replace the points by: has color, and logarithms of side, size and class count."""
    p = sample.points.astype(np.float64)
    gray = np.allclose(p[:, :16], p[:, 16:32]) and np.allclose(p[:, :16], p[:, 32:48])
    numbers = [0.0 if gray else 1.0, *p[0, -3:]]
    return DatasetSample.from_features(np.array([numbers, numbers]), [0, 1])


TOLD: dict[str, Callable[[DatasetSample], DatasetSample | None]] = {
    "dataset_encoder": lambda sample: sample,
    "no_dataset": lambda sample: None,
    "meta_features": meta_features,
}
METHODS = (*TOLD, "metad2a")


class MeasuredTask:
    """The cells of one past study as a task to search on."""

    def __init__(self, task: Task) -> None:
        self._numbers = {row.tobytes(): i for i, row in enumerate(task.X)}
        self._values = task.y
        self.optimum = self.true_optimum = float(task.y.max())
        self.true_median = float(np.median(task.y))

    def evaluate(self, row: np.ndarray) -> Measurement:
        number = self._numbers[row.tobytes()]
        value = float(self._values[number])
        return Measurement(number, value, value)


@cache
def history() -> MetaDataset:
    return shipped_history()


def folds(seed: int) -> list[tuple[str, ...]]:
    """Split the names of the image sets into the folds that are left out together."""
    names = [task.name for task in history().tasks]
    order = np.random.default_rng([seed, N_FOLDS]).permutation(len(names))
    return [tuple(names[i] for i in sorted(order[k::N_FOLDS])) for k in range(N_FOLDS)]


def told(tasks: Sequence[Task], method: str) -> tuple[Task, ...]:
    """Replace the data sets of the tasks by what the method is told of them."""
    known = [(task, task.dataset) for task in tasks]
    return tuple(replace(t, dataset=TOLD[method](d)) for t, d in known if d is not None)


def fold_of(search: Search) -> tuple[str, ...]:
    """Name the image sets that are left out together with the search's target."""
    return next(fold for fold in folds(search.seed) if search.target in fold)


def learned(search: Search) -> MetaSurrogate:
    """Meta-train on the image sets outside the target's fold, once for all its targets."""
    left_out = fold_of(search)
    digest = crc32(repr((left_out, Config())).encode())
    path = search.cache / f"{search.method}-{search.seed}-{digest:08x}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        past = history().without(*left_out)
        past = replace(past, tasks=told(past.tasks, search.method))
        meta_train(past, seed=search.seed, progress=False).save(path)
    return MetaSurrogate.load(path)


def run_search(search: Search) -> list[Record]:
    """Search on one image set with what the others taught, and record every trial."""
    return run_metad2a(search) if search.method == "metad2a" else run_tnas(search)


def run_tnas(search: Search) -> list[Record]:
    """Search with the default sampler, as the method tells it of the data sets."""
    (target,) = told([t for t in history().tasks if t.name == search.target], search.method)
    surrogate = learned(search).restricted_to(target.X)
    sampler = TNASSampler(surrogate, dataset=target.dataset, seed=search.seed)
    steps = drive(sampler, surrogate.space, MeasuredTask(target), search.trials)
    known = {"spearman": zero_trial(surrogate, target), "nlpd": nlpd(surrogate, target, search)}
    return [{**search.key, **step, **known} for step in steps]


def run_metad2a(search: Search) -> list[Record]:
    """Search with MetaD2A, of which every measured cell is a candidate."""
    (target,) = (t for t in history().tasks if t.name == search.target)
    setting = metad2a_setting(search, target)
    sampler = peers.make("metad2a", setting)
    steps = drive(sampler, setting.space, MeasuredTask(target), search.trials)
    predicted = metad2a.predicted(setting, target.X)
    known = {"spearman": float(spearmanr(predicted, target.y).statistic), "nlpd": None}
    return [{**search.key, **step, **known} for step in steps]


def metad2a_setting(search: Search, target: Task) -> peers.Setting:
    """Make the setting of a search; what is learned of it is the same for the fold's targets."""
    left_out, space = fold_of(search), history().space
    past = history().without(*left_out).tasks
    samples = {task.name: task.dataset for task in past if task.dataset is not None}
    return peers.Setting(
        SubsetSpace.of(space, target.X),
        studies_of(past, space),
        search.seed,
        search.cache / f"metad2a-{search.seed}-{crc32(repr(left_out).encode()):08x}",
        dataset=target.dataset,
        samples=samples,
    )


def zero_trial(surrogate: MetaSurrogate, target: Task) -> float:
    """Correlate the past's prediction with the values (Spearman)."""
    features = surrogate.study_model(target.dataset).features
    predicted = features(target.X)[:, features.blocks.predictions].sum(dim=1)
    return float(spearmanr(predicted, target.y).statistic)


@torch.no_grad()
def nlpd(surrogate: MetaSurrogate, target: Task, search: Search) -> float:
    """Return the mean negative log density of the other cells' values, given ``N_GIVEN``."""
    order = np.random.default_rng(search.seed).permutation(len(target.y))
    model = surrogate.study_model(target.dataset)
    x = model.features(target.X[order])
    y = torch.from_numpy(scale_labels(target.y)[order])
    inputs = FeatureInputs(model.features.blocks)
    mixture = model.fit(inputs, x[:N_GIVEN], y[:N_GIVEN])
    densities = []
    for gp in mixture.gps:
        posterior = gp.posterior(x[N_GIVEN:].unsqueeze(1))
        sd = (posterior.variance.flatten() + gp.likelihood.noise).sqrt()
        normal = torch.distributions.Normal(posterior.mean.flatten(), sd)
        densities.append(normal.log_prob(y[N_GIVEN:]))
    weighted = torch.stack(densities, dim=1) + mixture.probabilities.log()
    return -float(weighted.logsumexp(dim=1).mean())


def table(records: Sequence[Record]) -> str:
    """Format means, and in brackets the interval of the difference to the first method.

    That is the data-set encoder if the records have it. Seeds that a method lacks on an image set
    are left out.
    """
    methods = [m for m in METHODS if m in {r["method"] for r in records}]
    targets = sorted({r["target"] for r in records})
    searches = {(r["method"], r["target"], r["seed"]) for r in records}
    seeds = [
        seed
        for seed in sorted({r["seed"] for r in records})
        if all((m, t, seed) in searches for m in methods for t in targets)
    ]
    figures = {m: _figures(records, m, targets, seeds) for m in methods}  # T x S x K each
    columns = ["Spearman", "NLPD", *(f"regret at {b}" for b in BUDGETS)]
    rows = []
    weights = np.full(len(targets), 1 / len(targets))
    for method, x in figures.items():
        low, high = statistics.interval(x - figures[methods[0]], weights)
        cells = [
            f"{mean:.3f}" + (f" [{a:+.3f}, {b:+.3f}]" if method != methods[0] else "")
            for mean, a, b in zip(x.mean(axis=(0, 1)), low, high, strict=True)
        ]
        known = ~np.isnan(x).any(axis=(0, 1))
        rows.append([method, *np.where(known, cells, "-")])
    counts = f"{len(targets)} image sets, {len(seeds)} seeds\n"
    return "\n".join([counts, *markdown.table(["told", *columns], rows)])


def _figures(
    records: Sequence[Record], method: str, targets: Sequence[str], seeds: Sequence[int]
) -> np.ndarray:
    """Return ``T x S x (2 + budgets)``: Spearman, NLPD and regrets by target and seed.

    NaN where a record has null.
    """
    found = {(r["target"], r["seed"], r["trial"]): r for r in records if r["method"] == method}
    return np.array(
        [
            [
                [found[t, s, 0]["spearman"], found[t, s, 0]["nlpd"]]
                + [found[t, s, b - 1]["regret"] for b in BUDGETS]
                for s in seeds
            ]
            for t in targets
        ],
        dtype=np.float64,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--methods", type=_methods, default=list(TOLD), help=f"of: {', '.join(METHODS)}")
    add("--seeds", type=int, default=10, help="searches per method and image set")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    cache = a.out.with_suffix(".meta")
    # The folds' first members first, so that two workers seldom train the same surrogate.
    searches = [
        Search("imagesets", fold[i], method, seed, PastSetting(100), max(BUDGETS), cache)
        for seed in range(a.seeds)
        for i in range(len(folds(seed)[0]))
        for fold in folds(seed)
        for method in a.methods
        if i < len(fold)
    ]
    run(searches, a.out, a.jobs, run_search)
    print(table(read_records(a.out)))


def _methods(text: str) -> list[str]:
    """Split a list with commas into names of methods, each once."""
    methods = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in methods if name not in METHODS]:
        raise argparse.ArgumentTypeError(
            f"there is no method {unknown[0]!r}; choose of {', '.join(METHODS)}"
        )
    return methods


if __name__ == "__main__":
    main()
