"""Does it pay to learn from unfinished trainings? Regret by the cost of training.

    python -m benchmarks.questions.unfinished --target all --seeds 10 --out unfinished.jsonl

NAS-Bench-201's cells: a trial reports the validation accuracy of a training of 12 epochs (step
12), which costs 6 % of one of 200 epochs, and then, unless it is pruned, trains for 200 epochs
anew: the table's two trainings are two. So a completed trial costs 1.06, and 1 where nothing is
reported. ``SAMPLER`` alone reports nothing. After a colon comes what prunes: ``model`` is
``TNASPruner``, ``halving``, ``hyperband`` and ``median`` are Optuna's pruners. A third word
``ignored`` is a sampler that does not consider pruned trials. ``random:screened`` spends half of
each budget on trainings of 12 epochs of random cells and trains the best of them.

The past is what ``benchmarks.run`` gives: completed trials of the other tasks, without reports.
The file is as ``benchmarks.run`` writes it, for ``benchmarks.report``: a record's ``trial`` is the
cost, in trainings, less 1; until a trial is completed the regret is 1. At the end a table of mean
regrets and of trials begun and completed is printed, with the intervals of the difference to the
sampler that reports nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.pruners import HyperbandPruner
from optuna.pruners import MedianPruner
from optuna.pruners import NopPruner
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from benchmarks import peers
from benchmarks import tasks
from benchmarks.common import markdown
from benchmarks.past_settings import PastSetting
from benchmarks.peers._meta import meta_trained
from benchmarks.report import statistics
from benchmarks.run import read_records
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import Measurement
from benchmarks.tasks import reading
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASPruner
from optuna_tnas import TNASSampler


FAMILY = "nasbench201"
BUDGETS = (2, 5, 10, 20, 50)
METHODS = (
    "tnas,tnas:model,tnas:halving,tnas:halving:ignored,tnas_untrained,tnas_untrained:model,"
    "tnas_untrained:halving,tnas_untrained:halving:ignored,tpe:hyperband,random:hyperband,"
    "tpe:median,gp,gp:median,random:screened"
)
STEP, LAST = 12, 200
SHARE = STEP / LAST  # of a training's cost
_ROUNDING = 1e-9


@cache
def reports(target: str) -> np.ndarray:
    """Read what trials report at step 12, by network."""
    return np.asarray(reading.table("nasbench201")[f"{target}_val_{STEP}"], dtype=np.float64)


def pruner_of(name: str, sampler: BaseSampler) -> BasePruner:
    """Make a pruner."""
    if name == "model":
        assert isinstance(sampler, TNASSampler)
        return TNASPruner(sampler)
    pruners: Mapping[str, Callable[[], BasePruner]] = {
        "": NopPruner,
        "median": MedianPruner,
        "halving": lambda: SuccessiveHalvingPruner(min_resource=STEP),
        "hyperband": lambda: HyperbandPruner(min_resource=STEP, max_resource=LAST),
    }
    return pruners[name]()


def sampler_of(search: Search) -> BaseSampler:
    """Make the sampler of a method."""
    name, _, how = search.method.partition(":")
    if name not in ("tnas", "tnas_untrained"):
        return peers.make(name, setting_of(search))
    surrogate = (
        meta_trained(setting_of(search), "default")
        if name == "tnas"
        else MetaSurrogate(tasks.load(FAMILY).space, seed=search.seed)
    )
    considered = not how.endswith("ignored")
    return TNASSampler(surrogate, seed=search.seed, consider_pruned_trials=considered)


@dataclass(frozen=True)
class Progress:
    """Where a search stands.

    Attributes:
        cost: What was spent, in trainings of 200 epochs.
        begun: How many trials.
        completed: How many of them were trained to the end.
        best: The one of these with the best value; None before there is one.
    """

    cost: float = 0.0
    begun: int = 0
    completed: int = 0
    best: Measurement | None = None

    def spent(self, cost: float, begun: int = 0) -> Progress:
        """Spend something."""
        return replace(self, cost=self.cost + cost, begun=self.begun + begun)

    def with_completed(self, found: Measurement) -> Progress:
        """Complete a trial."""
        better = self.best is None or found.value > self.best.value
        best = found if better else self.best
        return replace(self, completed=self.completed + 1, best=best)


def states(search: Search) -> Iterator[Progress]:
    """Run trial after trial; yield each one's end."""
    family = tasks.load(FAMILY)
    task, report = family.tasks[search.target], reports(search.target)
    sampler, at = sampler_of(search), Progress()
    pruner = pruner_of((search.method + ":").split(":")[1], sampler)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    while True:
        trial = study.ask()
        found = task.evaluate(family.space.encode(family.space.suggest(trial)))
        at = at.spent(0.0, begun=1)
        if ":" in search.method:
            at = at.spent(SHARE)
            trial.report(float(report[found.network]), STEP)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                yield at
                continue
        study.tell(trial, found.value)
        at = at.spent(1.0).with_completed(found)
        yield at


def screened(search: Search, budget: int) -> Progress:
    """Train random cells for 12 epochs for half of the budget, then the best of them."""
    family = tasks.load(FAMILY)
    n_screened, n_trained = int(budget / 2 / SHARE), budget // 2
    rows = family.space.sample(n_screened, np.random.default_rng(search.seed))
    found = [family.tasks[search.target].evaluate(row) for row in rows]
    report = reports(search.target)
    found.sort(key=lambda one: -report[one.network])
    at = Progress(budget, n_screened)
    for one in found[:n_trained]:
        at = at.with_completed(one)
    return at


def run_search(search: Search) -> list[Record]:
    """Search until the cost is spent; a record for each whole cost."""
    budgets = range(1, search.trials + 1)
    if search.method == "random:screened":
        return [_record(search, budget, screened(search, budget)) for budget in budgets]
    at, records = Progress(), []
    for state in states(search):
        while len(records) < search.trials and state.cost > len(records) + 1 + _ROUNDING:
            records.append(_record(search, len(records) + 1, at))
        if len(records) == search.trials:
            break
        at = state
    return records


def _record(search: Search, budget: int, at: Progress) -> Record:
    task = tasks.load(FAMILY).tasks[search.target]
    regret = 1.0 if at.best is None else tasks.regret(task, at.best.true)
    return {
        **search.key,
        "trial": budget - 1,
        "network": None if at.best is None else at.best.network,
        "best_value": None if at.best is None else at.best.value,
        "optimum": task.optimum,
        "regret": regret,
        "begun": at.begun,
        "completed": at.completed,
    }


def rows(records: Sequence[Record], methods: Sequence[str]) -> Iterator[Sequence[str]]:
    """Format mean regrets, and their differences to those of the sampler that reports nothing."""
    targets = sorted({r["target"] for r in records})
    known = {(r["method"], r["target"], r["seed"], r["trial"] + 1): r for r in records}
    for method in methods:
        plain = method.partition(":")[0]
        plain = plain if plain in methods else method
        seeds = [
            seed
            for seed in sorted({r["seed"] for r in records})
            if all((m, t, seed, 1) in known for m in (method, plain) for t in targets)
        ]
        if seeds:
            yield [method, str(len(seeds)), *_cells(known, method, plain, targets, seeds)]


def _cells(
    known: Mapping[tuple[str, str, int, int], Record],
    method: str,
    plain: str,
    targets: Sequence[str],
    seeds: Sequence[int],
) -> list[str]:
    def of(name: str, figure: str) -> np.ndarray:
        """Collect a figure: targets x seeds x budgets."""
        figures = [
            [[known[name, t, s, b][figure] for b in BUDGETS] for s in seeds] for t in targets
        ]
        return np.array(figures, dtype=np.float64)

    own = of(method, "regret")
    cells = [f"{mean:.3f}" for mean in own.mean(axis=(0, 1))]
    if method != plain:
        difference = own - of(plain, "regret")
        weights = np.full(len(targets), 1 / len(targets))
        low, high = statistics.interval(difference, weights)
        both = zip(cells, difference.mean(axis=(0, 1)), low, high, strict=True)
        cells = [f"{mean} ({d:+.3f} [{a:+.3f}, {b:+.3f}])" for mean, d, a, b in both]
    counts = (of(method, name)[:, :, -1].mean() for name in ("begun", "completed"))
    return [*cells, " / ".join(f"{count:.0f}" for count in counts)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--target", default="all", help="c10, c100, in16, with commas, or all")
    add("--methods", default=METHODS, help="SAMPLER, SAMPLER:PRUNER or SAMPLER:PRUNER:ignored")
    add("--first-seed", type=int, default=0)
    add("--seeds", type=int, default=10, help="searches per method and task")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    methods = a.methods.split(",")
    targets = list(tasks.load(FAMILY).tasks) if a.target == "all" else a.target.split(",")
    cache = a.out.with_suffix(".meta")
    searches = [
        Search(FAMILY, target, method, seed, PastSetting(), max(BUDGETS), cache)
        for seed in range(a.first_seed, a.first_seed + a.seeds)
        for target in targets
        for method in methods
    ]
    run(searches, a.out, a.jobs, run_search)
    heads = ["method", "seeds", *map(str, BUDGETS), "begun / completed"]
    print("\n".join(markdown.table(heads, rows(read_records(a.out), methods))))


if __name__ == "__main__":
    main()
