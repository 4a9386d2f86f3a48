"""How much of the front of accuracy and cost does a search find?

    python -m benchmarks.questions.several_objectives --target c100 --device raspi4 --seeds 5
    python -m benchmarks.questions.several_objectives --family nasbenchgraph --target cora
    python -m benchmarks.questions.several_objectives --family mobilenetv3 --target imagenet

The costs are those of :mod:`benchmarks.tasks.costs`: latencies, or multiply-accumulates. Samplers
see the validation accuracy. Prints the hypervolume regret: the share of the hypervolume below the
true front, or of ``mobilenetv3`` the best one known, that a search lacks. It is of those trials
that a user would take, the front of what was measured, by their true accuracies. What counts is
above a reference point, and objectives are scaled to the front's range there: ``all`` counts the
whole front, a tenth of its range below its worst values; ``good`` counts networks better than the
median accuracy.

``tnas`` learns from the accuracies of the other tasks, 200 random trials each. ``tnas_latency``
also learns from the costs of these trials, on the same device but with the other data sets;
``tnas_devices`` (``nasbench201``) from 200 random latencies on each of the other devices with the
same image set; ``tnas_cheap`` knows the costs, as a cheap objective. ``tnas_untrained`` knows
nothing. ``front`` is Optuna's TPESampler after up to ten networks of the past studies' fronts, in
turn, those far from their neighbors first: what it knows is what ``tnas_latency`` knows. ``gp``,
``tpe``, ``nsga2`` and ``nsga3`` are Optuna's samplers, the latter two with a population of ten.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
import tempfile
import warnings

from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.samplers import NSGAIIISampler
from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import create_trial
from optuna.trial import Trial
import torch
from tqdm import tqdm

from benchmarks import peers
from benchmarks import tasks
from benchmarks.common.markdown import table
from benchmarks.past_settings import PastSetting
from benchmarks.peers.top5_tpe import StartedTPESampler
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import costs
from benchmarks.tasks import SearchTask
from benchmarks.tasks.costs import Cost
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space
from optuna_tnas.studies.fronts import fronts


BUDGETS = (5, 10, 20, 50)
N_PAST = 200  # trials of each past study
N_FRONT = 10  # networks of the past's fronts that TPE starts with, as many as it draws otherwise
METHODS = (
    "tnas,tnas_latency,tnas_devices,tnas_cheap,tnas_untrained,front,gp,tpe,nsga2,nsga3,random"
)
DEVICES = ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga")
NAMES = ["accuracy", "cost"]
_MARGIN = 0.1

CostOf = Callable[[str, str], Cost]  # of a task and a device


class Front:
    """The part of a task's true front that is above a limit of accuracy.

    Args:
        Y: ``n x 2`` true accuracies and negated costs, the front among them.
        least: The limit; None for the whole front.
    """

    def __init__(self, Y: np.ndarray, least: float | None = None) -> None:
        front = Y[is_non_dominated(torch.from_numpy(Y)).numpy()]
        if least is not None:
            front = front[front[:, 0] > least]
        self._worst, self._range = front.min(axis=0), np.ptp(front, axis=0)
        self._worst = self._worst - _MARGIN * self._range
        if least is not None:
            self._worst[0], self._range[0] = least, front[:, 0].max() - least
        self._whole = self._hypervolume(front)

    def regret(self, Y: np.ndarray) -> float:
        """Return the share of the hypervolume that ``n x 2`` true values lack."""
        return 1 - self._hypervolume(Y) / self._whole

    def _hypervolume(self, Y: np.ndarray) -> float:
        scaled = torch.from_numpy((Y - self._worst) / self._range)
        counted = scaled[is_non_dominated(scaled)]
        return Hypervolume(torch.zeros(2, dtype=scaled.dtype)).compute(counted)


class FrontTask:
    """A task whose networks have a cost, to be low while the accuracy is high.

    Args:
        space: The networks.
        task: Their accuracies.
        cost: Their cost.
        true: ``n x 2`` true accuracies and negated costs, the true front among them.
    """

    def __init__(self, space: Space, task: SearchTask, cost: Cost, true: np.ndarray) -> None:
        self._space, self._task, self._cost = space, task, cost
        self.fronts = {"all": Front(true), "good": Front(true, task.true_median)}

    def regrets(self, sampler: BaseSampler, n_trials: int) -> np.ndarray:
        """Search; the regrets at each budget, as far as there are trials: ``2 x B``."""
        found: list[tuple[float, float, float]] = []

        def objective(trial: Trial) -> tuple[float, float]:
            row = self._space.encode(self._space.suggest(trial))
            measured, cost = self._task.evaluate(row), self._cost(row)
            found.append((measured.value, measured.true, -cost))
            return measured.value, cost

        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.set_metric_names(NAMES)
        study.optimize(objective, n_trials=n_trials)
        taken = [_taken(np.array(found[:b])) for b in BUDGETS if b <= n_trials]
        return np.array([[front.regret(Y) for Y in taken] for front in self.fronts.values()])


def _taken(found: np.ndarray) -> np.ndarray:
    """Return the true values of the trials that a user would take: ``n x 3`` -> ``m x 2``."""
    return found[is_non_dominated(torch.from_numpy(found[:, [0, 2]])).numpy()][:, 1:]


def sampler_of(
    method: str, setting: peers.Setting, target: str, device: str, cost_of: CostOf
) -> BaseSampler:
    """Make the sampler of a method."""
    if method == "nsga2":
        return NSGAIISampler(population_size=10, seed=setting.seed)
    if method == "nsga3":
        return NSGAIIISampler(population_size=10, seed=setting.seed)
    if method == "front":
        initial = past_fronts(same_device(setting, device, cost_of), setting.space)
        return StartedTPESampler(setting.space, initial, setting.seed)
    if method == "tnas_cheap":
        return cheap(setting, cost_of(target, device))
    if method == "tnas_latency":
        past = same_device(setting, device, cost_of)
        return TNASSampler(learned(setting, past), seed=setting.seed)
    if method == "tnas_devices":
        past = other_devices(setting, target, device, cost_of)
        return TNASSampler(learned(setting, past), seed=setting.seed)
    return peers.make(method, setting)


def same_device(setting: peers.Setting, device: str, cost_of: CostOf) -> Sequence[Study]:
    """Copy the past studies with two objectives, the other being their trials' cost."""
    return [
        _both(study, setting.space, cost_of(study.study_name, device)) for study in setting.history
    ]


def _both(past: Study, space: Space, cost: Cost) -> Study:
    study = optuna.create_study(study_name=past.study_name, directions=["maximize", "minimize"])
    study.set_metric_names(NAMES)
    for t in past.trials:
        both = [t.value, cost(space.encode(t.params))]
        study.add_trial(create_trial(values=both, params=t.params, distributions=t.distributions))
    return study


def other_devices(
    setting: peers.Setting, target: str, device: str, cost_of: CostOf
) -> Sequence[Study]:
    """Name the past studies' objective, and add studies of latencies with the target."""
    for study in setting.history:
        study.set_metric_names(NAMES[:1])
    devices = [other for other in DEVICES if other != device]
    rng = np.random.default_rng(setting.seed)
    return [
        *setting.history,
        *(_costs(setting.space, other, cost_of(target, other), rng) for other in devices),
    ]


def _costs(space: Space, name: str, cost: Cost, rng: np.random.Generator) -> Study:
    """Make a study of the costs of 200 random networks."""
    study = optuna.create_study(study_name=name, direction="minimize")
    study.set_metric_names(NAMES[1:])
    for row in rng.permutation(space.enumerate())[:N_PAST]:
        params, distributions = space.decode(row), space.distributions()
        study.add_trial(create_trial(value=cost(row), params=params, distributions=distributions))
    return study


def past_fronts(past: Sequence[Study], space: Space) -> np.ndarray:
    """Take networks from the past studies' fronts in turn, those far from their neighbors first.

    Returns:
        Up to ten different ones: ``n x P``.
    """
    ranked = []
    for study in past:
        ranks, distances = fronts(np.array([t.values for t in study.trials]) * [1, -1])
        order = np.lexsort((-distances, -ranks))[: int((ranks == 0).sum())]
        ranked.append([space.encode(study.trials[i].params) for i in order])
    turns = range(max(map(len, ranked)))
    rows = np.array([front[i] for i in turns for front in ranked if i < len(front)])
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return np.asarray(rows[first][:N_FRONT])


def learned(setting: peers.Setting, past: Sequence[Study]) -> MetaSurrogate:
    """Meta-train on past studies."""
    history = MetaDataset.from_studies(past, setting.space)
    return meta_train(history, seed=setting.seed, progress=False)


def cheap(setting: peers.Setting, cost: Cost) -> TNASSampler:
    """Make a sampler that learned from the past and knows the costs."""
    space, surrogate = setting.space, learned(setting, setting.history)
    known = {NAMES[1]: lambda params: cost(space.encode(params))}
    return TNASSampler(surrogate, seed=setting.seed, cheap_objectives=known)


def rows(a: argparse.Namespace, cache: Path) -> Iterator[Sequence[str]]:
    """Search with every method and seed; a row for each method and front."""
    family = tasks.load(a.family)

    def cost_of(name: str, device: str) -> Cost:
        return costs.cost(a.family, name, device)

    true = costs.attainable(a.family, a.target, a.device)
    task, cost = family.tasks[a.target], cost_of(a.target, a.device)
    searched = FrontTask(family.space, task, cost, true)
    past = PastSetting(N_PAST, "random", None, None)
    for method in a.methods.split(","):
        curves = []
        for seed in tqdm(range(a.seeds), desc=method, leave=False):
            search = Search(a.family, a.target, method, seed, past, a.trials, cache)
            sampler = sampler_of(method, setting_of(search), a.target, a.device, cost_of)
            curves.append(searched.regrets(sampler, a.trials))
        for name, regrets in zip(searched.fronts, np.stack(curves, axis=1), strict=True):
            yield [name, method, *_cells(regrets)]


def _cells(curves: np.ndarray) -> Iterator[str]:
    """Mean and standard error at each budget of ``S x B`` regrets."""
    for at in curves.T:
        yield f"{at.mean():.3f} ± {at.std(ddof=1) / len(at) ** 0.5:.3f}"
    yield from (len(BUDGETS) - curves.shape[1]) * ["-"]


def arguments() -> argparse.Namespace:
    """Read what to search, and by which methods; without ``tnas_devices`` but in nasbench201."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", default="nasbench201", choices=costs.FAMILIES)
    parser.add_argument("--target", default="c100", help="such as c100, cora or imagenet")
    parser.add_argument("--device", default="raspi4", help="of nasbench201, such as edgegpu, fpga")
    parser.add_argument("--methods", help=f"of: {METHODS}, or of benchmarks.run's")
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--trials", type=int, default=50)
    a = parser.parse_args()
    known = [m for m in METHODS.split(",") if a.family == "nasbench201" or m != "tnas_devices"]
    a.methods = a.methods or ",".join(known)
    if a.target not in tasks.load(a.family).tasks:
        parser.error(f"{a.family} has no task {a.target!r}, but {[*tasks.load(a.family).tasks]}")
    return a


def main() -> None:
    a = arguments()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for line in table(["front", "method", *map(str, BUDGETS)], rows(a, Path(folder))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
