"""Does it pay to learn from unfinished trainings? Regret by the cost of training.

    python -m benchmarks.questions.unfinished --target all --seeds 10 --out unfinished.jsonl
    python -m benchmarks.questions.unfinished --space imagesets --target sklearn_digits,semeion \
        --methods tnas,tnas:model --seeds 10 --out curves.jsonl

``nasbench201``: a trial reports the validation accuracy of a training of 12 epochs (step 12),
which costs 6 % of one of 200 epochs. Unless it is pruned it then trains for 200 epochs anew, as
the table's two trainings are two, and reports the end (step 200). So a completed trial costs 1.06,
and 1 where nothing is reported. The past is what ``benchmarks.run`` gives: completed trials of the
other tasks, without reports.

``imagesets``: the package's history, 100 cells of each image set that were really trained for four
epochs. A trial reports the log loss after each epoch, which costs a quarter of a training. The
past are the other image sets, with their reports; the search is among the target's 100 cells.
Samplers that cannot be restricted to them are left out: ``random`` draws of them.

``SAMPLER`` alone reports nothing. After a colon comes what prunes: ``model`` is ``TNASPruner``,
``halving``, ``hyperband`` and ``median`` are Optuna's pruners. A third word ``ignored`` is a
sampler that does not consider pruned trials. ``random:screened`` spends half of each budget on
trainings to the first report of random cells and trains the best of them.

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
from benchmarks.questions import dataset_encoder
from benchmarks.report import statistics
from benchmarks.run import read_records
from benchmarks.run import Record
from benchmarks.run import run
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import Measurement
from benchmarks.tasks import reading
from benchmarks.tasks import SearchTask
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASPruner
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space
from optuna_tnas.spaces import SubsetSpace
from optuna_tnas.studies.history import Task


SPACES = ("nasbench201", "imagesets")
BUDGETS = (2, 5, 10, 20, 50)
METHODS = (
    "tnas,tnas:model,tnas:halving,tnas_untrained,tnas_untrained:model,tnas_untrained:halving,"
    "tnas_untrained:halving:ignored,tpe:hyperband,random:hyperband,tpe:median,gp,"
    "random:screened"
)
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Trainings:
    """What trainings on one data set cost, report and give.

    Attributes:
        space: The architectures that are searched.
        task: Looks final values up.
        steps: When trials report.
        costs: Of each report beyond the one before, in whole trainings.
        rest: Cost from the last of these reports to the end.
        end: The last step, where the final value is reported.
        reports: ``steps x networks``.
    """

    space: Space
    task: SearchTask
    steps: tuple[int, ...]
    costs: tuple[float, ...]
    rest: float
    end: int
    reports: np.ndarray


@cache
def trainings(space: str, target: str) -> Trainings:
    """Load the trainings of a target."""
    return _of_image_set(image_set(target)) if space == "imagesets" else _of_table(target)


def _of_table(target: str) -> Trainings:
    family = tasks.load("nasbench201")
    report = np.asarray(reading.table("nasbench201")[f"{target}_val_12"], dtype=np.float64)
    return Trainings(family.space, family.tasks[target], (12,), (0.06,), 1.0, 200, report[None])


def image_set(target: str) -> Task:
    """Take an image set of the package's history."""
    return next(task for task in dataset_encoder.history().tasks if task.name == target)


def _of_image_set(past: Task) -> Trainings:
    curves = [curve.reports for curve in past.curves if curve is not None]
    *steps, end = curves[0]
    reports = np.array([[curve[step] for curve in curves] for step in steps])
    space = SubsetSpace.of(dataset_encoder.history().space, past.X)
    task = dataset_encoder.MeasuredTask(past)
    return Trainings(space, task, tuple(steps), len(steps) * (1 / end,), 1 / end, end, reports)


def targets_of(space: str) -> list[str]:
    """List the targets of a space."""
    if space == "imagesets":
        return [task.name for task in dataset_encoder.history().tasks]
    return list(tasks.load("nasbench201").tasks)


def pruner_of(name: str, sampler: BaseSampler, first: int, last: int) -> BasePruner:
    """Make a pruner for trials that report from the first to the last step."""
    if name == "model":
        assert isinstance(sampler, TNASSampler)
        return TNASPruner(sampler)
    pruners: Mapping[str, Callable[[], BasePruner]] = {
        "": NopPruner,
        "median": MedianPruner,
        "halving": lambda: SuccessiveHalvingPruner(min_resource=first),
        "hyperband": lambda: HyperbandPruner(min_resource=first, max_resource=last),
    }
    return pruners[name]()


def sampler_of(search: Search) -> BaseSampler:
    """Make the sampler of a method."""
    name, _, how = search.method.partition(":")
    considered = not how.endswith("ignored")
    if search.space == "imagesets":
        return _among_measured(search, name, considered)
    if name not in ("tnas", "tnas_untrained"):
        return peers.make(name, setting_of(search))
    space = tasks.load(search.space).space
    untrained = name == "tnas_untrained"
    surrogate = (
        MetaSurrogate(space, seed=search.seed)
        if untrained
        else meta_trained(setting_of(search), "default")
    )
    return TNASSampler(surrogate, seed=search.seed, consider_pruned_trials=considered)


def _among_measured(search: Search, name: str, considered: bool) -> BaseSampler:
    """Make a sampler of an image set's cells."""
    past = image_set(search.target)
    if name not in ("tnas", "tnas_untrained", "random"):
        raise ValueError(f"{name} cannot be restricted to the cells that were trained")
    learned = (
        dataset_encoder.learned(replace(search, method="dataset_encoder"))
        if name == "tnas"
        else MetaSurrogate(dataset_encoder.history().space, seed=search.seed)
    )
    return TNASSampler(
        learned.restricted_to(past.X),
        dataset=past.dataset,
        seed=search.seed,
        consider_pruned_trials=considered,
        n_startup_trials=10**9 if name == "random" else None,
    )


@dataclass(frozen=True)
class Progress:
    """Where a search stands.

    Attributes:
        cost: What was spent, in whole trainings.
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
    at_hand = trainings(search.space, search.target)
    sampler, at = sampler_of(search), Progress()
    name = (search.method + ":").split(":")[1]
    pruner = pruner_of(name, sampler, at_hand.steps[0], at_hand.end)
    study = optuna.create_study(
        study_name=f"{search.seed}",  # Hyperband's brackets depend on it
        direction="maximize",
        sampler=sampler,
        pruner=pruner,
    )
    while True:
        trial = study.ask()
        found = at_hand.task.evaluate(at_hand.space.encode(at_hand.space.suggest(trial)))
        at = at.spent(0.0, begun=1)
        cost, pruned = 1.0, False
        if ":" in search.method:
            cost, pruned = _train(trial, at_hand, found)
        study.tell(trial, None if pruned else found.value, TrialState.PRUNED if pruned else None)
        at = at.spent(cost) if pruned else at.spent(cost).with_completed(found)
        yield at


def _train(trial: optuna.Trial, at_hand: Trainings, found: Measurement) -> tuple[float, bool]:
    """Report at each step; return the cost, and whether the trial was pruned."""
    cost = 0.0
    for step, share, reports in zip(at_hand.steps, at_hand.costs, at_hand.reports, strict=True):
        cost += share
        trial.report(float(reports[found.network]), step)
        if trial.should_prune():
            return cost, True
    trial.report(found.value, at_hand.end)
    return cost + at_hand.rest, False


def screened(search: Search, budget: int) -> Progress:
    """Train random cells to the first report for half of the budget, then the best of them."""
    at_hand = trainings(search.space, search.target)
    n_screened, n_trained = int(budget / 2 / at_hand.costs[0]), budget // 2
    rows = at_hand.space.sample(n_screened, np.random.default_rng(search.seed))
    found = [at_hand.task.evaluate(row) for row in np.unique(rows, axis=0)]
    found.sort(key=lambda one: -at_hand.reports[0][one.network])
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
    task = trainings(search.space, search.target).task
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
    add("--space", choices=SPACES, default="nasbench201")
    add("--target", default="all", help="tasks to search on, with commas, or all")
    add("--methods", default=METHODS, help="SAMPLER, SAMPLER:PRUNER or SAMPLER:PRUNER:ignored")
    add("--first-seed", type=int, default=0)
    add("--seeds", type=int, default=10, help="searches per method and task")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    methods = a.methods.split(",")
    targets = targets_of(a.space) if a.target == "all" else a.target.split(",")
    cache = a.out.with_suffix(".meta")
    searches = [
        Search(a.space, target, method, seed, PastSetting(), max(BUDGETS), cache)
        for seed in range(a.first_seed, a.first_seed + a.seeds)
        for target in targets
        for method in methods
    ]
    run(searches, a.out, a.jobs, run_search)
    heads = ["method", "seeds", *map(str, BUDGETS), "begun / completed"]
    records = [r for r in read_records(a.out) if r["space"] == a.space]
    print("\n".join(markdown.table(heads, rows(records, methods))))


if __name__ == "__main__":
    main()
