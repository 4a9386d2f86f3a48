"""How good is the best cell under a latency limit that only trials tell?

    python -m benchmarks.questions.measured_constraints --target c100 --device raspi4 --seeds 10

NAS-Bench-201's accuracies with the latencies that HW-NAS-Bench (Li et al., ICLR 2021) measured; a
trial tells its latency by ``set_constraint``. Prints the regret of the best feasible cell, of its
true value: 0 is the best one under the limit, 1 the median of those under it; before the first
feasible trial it counts as the worst of those. ``tnas`` learns from the other two image sets, 200
random trials each, without latencies.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
import tempfile
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
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import TableTask
from benchmarks.tasks.costs import latencies
from optuna_tnas.spaces import Space


FAMILY = "nasbench201"
PERCENTILES = (10, 30, 50)  # of all cells' latencies: the limits
BUDGETS = (5, 10, 20, 50)
METHODS = "tnas,tnas_untrained,gp,tpe,random"


class LimitedTask:
    """A task whose cells have a latency, and a limit of it.

    Args:
        space: The cells.
        task: Values by cell.
        latency: Milliseconds by cell.
        percentile: The share of cells within the limit, in percent.
    """

    def __init__(
        self, space: Space, task: TableTask, latency: np.ndarray, percentile: float
    ) -> None:
        self._space, self._task, self._latency = space, task, latency
        self.limit = float(np.percentile(latency, percentile))
        true = task.true[latency <= self.limit]
        self._best, self._median, self._worst = true.max(), np.median(true), true.min()

    def regrets(self, sampler: BaseSampler, n_trials: int) -> np.ndarray:
        """Search; the regret of the best feasible cell after each of ``n`` trials."""
        found: list[int] = []

        def objective(trial: Trial) -> float:
            row = self._space.encode(self._space.suggest(trial))
            measured = self._task.evaluate(row)
            found.append(measured.network)
            excess = self._latency[measured.network] / self.limit - 1
            trial.set_constraint("latency", float(excess))
            return measured.value

        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(objective, n_trials=n_trials)
        return self._regrets(np.array(found))

    def _regrets(self, networks: np.ndarray) -> np.ndarray:
        feasible = self._latency[networks] <= self.limit
        values = np.where(feasible, self._task.value[networks], -np.inf)
        best = [int(values[: i + 1].argmax()) for i in range(len(values))]
        true = np.where(feasible[best], self._task.true[networks[best]], self._worst)
        return np.asarray((self._best - true) / (self._best - self._median))


def rows(a: argparse.Namespace, cache: Path) -> Iterator[Sequence[str]]:
    """Search with every method and seed under every limit; a row for each limit and method."""
    family, latency = tasks.load(FAMILY), latencies(a.target, a.device)
    task = family.tasks[a.target]
    assert isinstance(task, TableTask)
    past = PastSetting(200, "random", None, None)
    for percentile in PERCENTILES:
        limited = LimitedTask(family.space, task, latency, percentile)
        for method in a.methods.split(","):
            curves = []
            for seed in tqdm(range(a.seeds), desc=f"{percentile} % {method}", leave=False):
                search = Search(FAMILY, a.target, method, seed, past, a.trials, cache)
                sampler = peers.make(method, setting_of(search))
                curves.append(limited.regrets(sampler, a.trials))
            yield [f"{percentile} %", method, *_cells(np.array(curves))]


def _cells(curves: np.ndarray) -> Iterator[str]:
    """Mean and standard error at each budget of ``S x n`` regrets."""
    for budget in BUDGETS:
        if budget > curves.shape[1]:
            yield "-"
            continue
        at = curves[:, budget - 1]
        yield f"{at.mean():.3f} ± {at.std(ddof=1) / len(at) ** 0.5:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", default="c100", choices=["c10", "c100", "in16"])
    parser.add_argument("--device", default="raspi4", help="such as edgegpu, raspi4, fpga")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", type=int, default=10, help="at least 2")
    parser.add_argument("--trials", type=int, default=50)
    a = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        heads = ["cells within", "method", *map(str, BUDGETS)]
        for line in table(heads, rows(a, Path(folder))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
