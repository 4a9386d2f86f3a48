"""Does it pay to learn which cells fail, where those beyond a size do?

    python -m benchmarks.questions.failed_trials --target c100 --seeds 10

NAS-Bench-201's cells; a trial whose cell has more multiply-accumulates than the limit fails, as
one that needs too much memory would. ``tnas`` learns from the other two image sets, 200 random
trials each, of which none failed; ``tnas_untrained`` knows nothing. ``avoid`` and ``model`` are
the sampler's ``failed_trials``, with the same seeds.

Prints how many trials failed and the regret of the best cell that did not, of its true value: 0 is
the best one within the limit, 1 the median of those; before the first it counts as their worst.
Beside ``model`` is the difference to ``avoid`` with the 95% interval over the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
import tempfile
from typing import Literal
import warnings

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial
from tqdm import tqdm

from benchmarks import peers
from benchmarks import tasks
from benchmarks.common.markdown import table
from benchmarks.past_settings import PastSetting
from benchmarks.peers._meta import meta_trained
from benchmarks.report import statistics
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import TableTask
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import Space


FAMILY = "nasbench201"
PERCENTILES = (30, 70)  # of all cells' sizes: the limits
BUDGETS = (5, 10, 20, 50)
METHODS = ("tnas", "tnas_untrained")
WAYS: tuple[Literal["avoid", "model"], ...] = ("avoid", "model")


class OutOfMemoryError(Exception):
    """A trial's network is too large."""


class FailingTask:
    """A task on which the trials of large networks fail.

    Args:
        space: The networks.
        task: Values by network.
        size: Sizes by network.
        percentile: The share of networks that do not fail, in percent.
    """

    def __init__(self, space: Space, task: TableTask, size: np.ndarray, percentile: float) -> None:
        self._space, self._task = space, task
        self.fails = size > np.percentile(size, percentile)
        true = task.true[~self.fails]
        self._best, self._median, self._worst = true.max(), np.median(true), true.min()

    def search(self, sampler: BaseSampler, n_trials: int) -> np.ndarray:
        """Search; the networks of ``n`` trials."""
        found: list[int] = []

        def objective(trial: Trial) -> float:
            measured = self._task.evaluate(self._space.encode(self._space.suggest(trial)))
            found.append(measured.network)
            if self.fails[measured.network]:
                raise OutOfMemoryError
            return measured.value

        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(objective, n_trials=n_trials, catch=OutOfMemoryError)
        return np.array(found)

    def figures(self, networks: np.ndarray) -> np.ndarray:
        """Return the number of failures, and the regret at each budget: ``1 + B``.

        Args:
            networks: ``n``, of the trials; NaN at budgets of more.
        """
        fails = self.fails[networks]
        values = np.where(fails, -np.inf, self._task.value[networks])
        figures = np.full(1 + len(BUDGETS), np.nan)
        figures[0] = fails.sum()
        for i, budget in enumerate(BUDGETS, 1):
            if budget <= len(networks):
                best = values[:budget].argmax()
                true = self._worst if fails[best] else self._task.true[networks[best]]
                figures[i] = (self._best - true) / (self._best - self._median)
        return figures


def sizes(space: Space, task: TableTask) -> np.ndarray:
    """Count the multiply-accumulates of every network: ``N``."""
    X = space.enumerate()
    counts = np.empty(len(task.value))
    counts[[task.evaluate(row).network for row in X]] = [
        count_macs(space, space.decode(row)) for row in X
    ]
    return counts


def sampler_of(method: str, way: Literal["avoid", "model"], setting: peers.Setting) -> TNASSampler:
    """Make the sampler of a method and a way with failed trials."""
    if method == "tnas":
        surrogate = meta_trained(setting, "default")
    else:
        surrogate = MetaSurrogate(setting.space, seed=setting.seed)
    return TNASSampler(surrogate, seed=setting.seed, failed_trials=way)


def rows(a: argparse.Namespace, cache: Path) -> Iterator[Sequence[str]]:
    """Search with every seed under every limit; a row for each limit, method and way."""
    family, past = tasks.load(FAMILY), PastSetting(200, "random", None, None)
    task = family.tasks[a.target]
    assert isinstance(task, TableTask)
    size = sizes(family.space, task)
    for percentile in PERCENTILES:
        failing = FailingTask(family.space, task, size, percentile)
        for method in METHODS:
            found = np.empty((len(WAYS), a.seeds, 1 + len(BUDGETS)))
            for seed in tqdm(range(a.seeds), desc=f"{percentile} % {method}", leave=False):
                setting = setting_of(Search(FAMILY, a.target, method, seed, past, a.trials, cache))
                for i, way in enumerate(WAYS):
                    sampler = sampler_of(method, way, setting)
                    found[i, seed] = failing.figures(failing.search(sampler, a.trials))
            for way, cells in zip(WAYS, (plain(found[0]), compared(*found)), strict=True):
                yield [f"{percentile} %", method, way, *cells]


def plain(figures: np.ndarray) -> list[str]:
    """Format the means of ``S x K`` figures."""
    return ["-" if np.isnan(mean) else f"{mean:.3g}" for mean in figures.mean(axis=0)]


def compared(avoid: np.ndarray, model: np.ndarray) -> list[str]:
    """Format the means of the latter's ``S x K`` figures, and the differences to the former."""
    difference = model - avoid
    ends = statistics.interval(difference[None], np.ones(1)).T
    figures = zip(plain(model), difference.mean(axis=0), ends, strict=True)
    return [
        mean if mean == "-" else f"{mean} ({d:+.3g} [{low:+.3g}, {high:+.3g}])"
        for mean, d, (low, high) in figures
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", default="c100", choices=["c10", "c100", "in16"])
    parser.add_argument("--seeds", type=int, default=10, help="at least 2")
    parser.add_argument("--trials", type=int, default=50)
    a = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.simplefilter("ignore")
    heads = ["do not fail", "method", "failed_trials", "failures"]
    with tempfile.TemporaryDirectory() as folder:
        for line in table([*heads, *map(str, BUDGETS)], rows(a, Path(folder))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
