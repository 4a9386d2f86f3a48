"""Does the sampler find better networks than random search and TPE in spaces of a user's own?

    python -m benchmarks.questions.user_spaces --example mlp --seeds 10 --out mlp.jsonl

Without any past, in the space of one of the examples, whose trials really train. Prints the mean
of the best validation loss so far, and by how much that of the others is above the sampler's with
the same seed, with a 95% interval. Searches that the file holds are not done again. A parameter
that is not sampled together with the others ends the run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
from importlib import import_module
import json
from pathlib import Path
from typing import Any
import warnings

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial
import torch
from tqdm import tqdm

from benchmarks.common.markdown import table
from benchmarks.report.statistics import interval
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space


EXAMPLES = ("darts_cell", "mlp", "transformer")
METHODS = ("tnas", "tpe", "random")
BUDGETS = (10, 20, 40, 60)

Curves = dict[str, dict[int, list[float]]]  # by method and seed


class Refusing(RandomSampler):
    """Fails where a parameter is not sampled together with the others."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} of trial {trial.number} is sampled independently")


def sampler_of(method: str, space: Space, seed: int) -> BaseSampler:
    """Make a sampler without a past."""
    if method == "random":
        return RandomSampler(seed=seed)
    if method == "tpe":
        return TPESampler(seed=seed)
    return TNASSampler(space=space, seed=seed, independent_sampler=Refusing())


def search(example: str, method: str, seed: int, n_trials: int) -> list[float]:
    """Search in an example's space; the best value after each of ``n_trials``."""
    module = import_module(f"examples.{example}")
    study = optuna.create_study(sampler=sampler_of(method, module.SPACE, seed))
    study.optimize(module.objective, n_trials=n_trials)
    values = [trial.values[0] for trial in study.trials]
    return [float(best) for best in np.minimum.accumulate(values)]


def read(path: Path, n_trials: int) -> Curves:
    """Read the searches that are done."""
    curves: Curves = {method: {} for method in METHODS}
    for line in path.read_text().splitlines() if path.exists() else []:
        record = json.loads(line)
        if len(record["best"]) == n_trials:
            curves[record["method"]][record["seed"]] = record["best"]
    return curves


def run(example: str, n_seeds: int, n_trials: int, path: Path) -> Curves:
    """Do the searches that are missing, seed by seed."""
    curves = read(path, n_trials)
    units = [(seed, method) for seed in range(n_seeds) for method in METHODS]
    for seed, method in tqdm([u for u in units if u[0] not in curves[u[1]]], desc=example):
        best = search(example, method, seed, n_trials)
        with path.open("a") as file:
            file.write(json.dumps({"method": method, "seed": seed, "best": best}) + "\n")
        curves[method][seed] = best
    return curves


def rows(curves: Curves, n_seeds: int, n_trials: int) -> Iterator[Sequence[str]]:
    """Give a row for each method: mean best, and by how much ``tnas`` is lower."""
    at = [budget - 1 for budget in BUDGETS if budget <= n_trials]
    best = {m: np.array([curves[m][s] for s in range(n_seeds)])[:, at] for m in METHODS}
    for method in METHODS:
        means = [f"{mean:.3f}" for mean in best[method].mean(axis=0)]
        difference = best[method] - best["tnas"]
        ends = interval(difference[None], np.ones(1)).T
        lower = zip(difference.mean(axis=0), *ends.T, strict=True)
        compared = [
            "" if method == "tnas" else f"{d:+.3f} [{a:+.3f}, {b:+.3f}]" for d, a, b in lower
        ]
        yield [method, *means, *compared]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--example", choices=EXAMPLES, required=True)
    parser.add_argument("--seeds", type=int, default=10, help="at least 2")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True, help="file, continued if it exists")
    a = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    curves = run(a.example, a.seeds, a.trials, a.out)
    budgets = [str(b) for b in BUDGETS if b <= a.trials]
    heads = ["best loss after", *budgets, *(f"above tnas, {b}" for b in budgets)]
    for line in table(heads, rows(curves, a.seeds, a.trials)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
