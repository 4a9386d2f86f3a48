"""How much of the front of accuracy and latency does a search find?

    python -m benchmarks.questions.several_objectives --target c100 --device raspi4 --seeds 5

NAS-Bench-201's accuracies with the latencies that HW-NAS-Bench (Li et al., ICLR 2021) measured.
Samplers see the validation accuracy. Prints the hypervolume regret: the share of the hypervolume
below the table's true front that a search lacks. It is of those trials that a user would take, the
front of what was measured, by their true accuracies. What counts is above a reference point, and
objectives are scaled to the front's range there: ``all`` counts the whole front, a tenth of its
range below its worst values; ``good`` counts cells better than the median accuracy.

``tnas`` learns from the accuracies of the other two image sets, 200 random trials each.
``tnas_latency`` also learns from the latencies of these trials, on the same device but with the
other image sets; ``tnas_devices`` from 200 random latencies on each of the other devices with the
same image set; ``tnas_cheap`` knows the latencies, as a cheap objective. ``tnas_untrained`` knows
nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
import tempfile
import warnings

from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
import numpy as np
import optuna
from optuna.samplers import BaseSampler
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
from benchmarks.questions.measured_constraints import arguments
from benchmarks.questions.measured_constraints import FAMILY
from benchmarks.questions.measured_constraints import latencies
from benchmarks.run import Search
from benchmarks.run import setting_of
from benchmarks.tasks import TableTask
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space


BUDGETS = (5, 10, 20, 50)
N_PAST = 200  # trials of each past study
METHODS = "tnas,tnas_latency,tnas_devices,tnas_cheap,tnas_untrained,gp,tpe,nsga2,random"
DEVICES = ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga")
NAMES = ["accuracy", "latency_ms"]
_MARGIN = 0.1

Latencies = Mapping[tuple[int, ...], float]
LatenciesOf = Callable[[str, str], Latencies]  # an image set and a device


class Front:
    """The part of a task's true front that is above a limit of accuracy.

    Args:
        Y: ``n x 2`` true accuracies and negated latencies of all cells.
        least: The limit; None for the whole front.
    """

    def __init__(self, Y: np.ndarray, least: float | None = None) -> None:
        front = _front(Y)
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
    """A task whose cells have a latency, to be low while the accuracy is high.

    Args:
        space: The cells.
        task: Accuracies by cell.
        latency: Milliseconds by cell.
    """

    def __init__(self, space: Space, task: TableTask, latency: np.ndarray) -> None:
        self._space, self._task, self._latency = space, task, latency
        true = np.stack([task.true, -latency], axis=1)
        self.fronts = {"all": Front(true), "good": Front(true, task.true_median)}

    def regrets(self, sampler: BaseSampler, n_trials: int) -> np.ndarray:
        """Search; the regrets at each budget, as far as there are trials: ``2 x B``."""
        found: list[int] = []

        def objective(trial: Trial) -> tuple[float, float]:
            measured = self._task.evaluate(self._space.encode(self._space.suggest(trial)))
            found.append(measured.network)
            return measured.value, float(self._latency[measured.network])

        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.set_metric_names(NAMES)
        study.optimize(objective, n_trials=n_trials)
        taken = [self._taken(np.array(found[:b])) for b in BUDGETS if b <= n_trials]
        return np.array([[front.regret(Y) for Y in taken] for front in self.fronts.values()])

    def _taken(self, networks: np.ndarray) -> np.ndarray:
        """Return the true values of those cells that a user would take of some."""
        latency = -self._latency[networks]
        measured = np.stack([self._task.value[networks], latency], axis=1)
        taken = is_non_dominated(torch.from_numpy(measured)).numpy()
        return np.stack([self._task.true[networks], latency], axis=1)[taken]


def _front(Y: np.ndarray) -> np.ndarray:
    return Y[is_non_dominated(torch.from_numpy(Y)).numpy()]


def sampler_of(
    method: str, setting: peers.Setting, target: str, device: str, latencies_of: LatenciesOf
) -> BaseSampler:
    """Make the sampler of a method."""
    if method == "nsga2":
        return NSGAIISampler(population_size=10, seed=setting.seed)
    if method == "tnas_cheap":
        return cheap(setting, latencies_of(target, device))
    if method == "tnas_latency":
        past = same_device(setting, device, latencies_of)
        return TNASSampler(learned(setting, past), seed=setting.seed)
    if method == "tnas_devices":
        past = other_devices(setting, target, device, latencies_of)
        return TNASSampler(learned(setting, past), seed=setting.seed)
    return peers.make(method, setting)


def same_device(setting: peers.Setting, device: str, latencies_of: LatenciesOf) -> Sequence[Study]:
    """Copy the past studies with two objectives, the other being their trials' latency."""
    return [
        _both(study, setting.space, latencies_of(study.study_name, device))
        for study in setting.history
    ]


def _both(past: Study, space: Space, latency: Latencies) -> Study:
    study = optuna.create_study(study_name=past.study_name, directions=["maximize", "minimize"])
    study.set_metric_names(NAMES)
    for t in past.trials:
        both = [t.value, latency[tuple(space.encode(t.params).tolist())]]
        study.add_trial(create_trial(values=both, params=t.params, distributions=t.distributions))
    return study


def other_devices(
    setting: peers.Setting, target: str, device: str, latencies_of: LatenciesOf
) -> Sequence[Study]:
    """Name the past studies' objective, and add studies of latencies with the target."""
    for study in setting.history:
        study.set_metric_names(NAMES[:1])
    devices = [other for other in DEVICES if other != device]
    rng = np.random.default_rng(setting.seed)
    return [
        *setting.history,
        *(_latency(setting.space, other, latencies_of(target, other), rng) for other in devices),
    ]


def _latency(space: Space, name: str, latency: Latencies, rng: np.random.Generator) -> Study:
    """Make a study of the latencies of 200 random cells."""
    study = optuna.create_study(study_name=name, direction="minimize")
    study.set_metric_names(NAMES[1:])
    for row in rng.permutation(space.enumerate())[:N_PAST]:
        params, value = space.decode(row), latency[tuple(row.tolist())]
        distributions = space.distributions()
        study.add_trial(create_trial(value=value, params=params, distributions=distributions))
    return study


def learned(setting: peers.Setting, past: Sequence[Study]) -> MetaSurrogate:
    """Meta-train on past studies."""
    history = MetaDataset.from_studies(past, setting.space)
    return meta_train(history, seed=setting.seed, progress=False)


def cheap(setting: peers.Setting, latency: Latencies) -> TNASSampler:
    """Make a sampler that learned from the past and knows the latencies."""
    space, surrogate = setting.space, learned(setting, setting.history)
    known = {"latency_ms": lambda params: latency[tuple(space.encode(params).tolist())]}
    return TNASSampler(surrogate, seed=setting.seed, cheap_objectives=known)


def rows(a: argparse.Namespace, cache: Path) -> Iterator[Sequence[str]]:
    """Search with every method and seed; a row for each method and front."""
    family, latency = tasks.load(FAMILY), latencies(a.target, a.device)
    task = family.tasks[a.target]
    assert isinstance(task, TableTask)
    searched = FrontTask(family.space, task, latency)
    past = PastSetting(N_PAST, "random", None, None)
    X = family.space.enumerate()
    networks = [task.evaluate(row).network for row in X]

    def latencies_of(name: str, device: str) -> Latencies:
        measured = latencies(name, device)[networks].tolist()
        return dict(zip(map(tuple, X.tolist()), measured, strict=True))

    for method in a.methods.split(","):
        curves = []
        for seed in tqdm(range(a.seeds), desc=method, leave=False):
            search = Search(FAMILY, a.target, method, seed, past, a.trials, cache)
            setting = setting_of(search)
            sampler = sampler_of(method, setting, a.target, a.device, latencies_of)
            curves.append(searched.regrets(sampler, a.trials))
        for name, regrets in zip(searched.fronts, np.stack(curves, axis=1), strict=True):
            yield [name, method, *_cells(regrets)]


def _cells(curves: np.ndarray) -> Iterator[str]:
    """Mean and standard error at each budget of ``S x B`` regrets."""
    for at in curves.T:
        yield f"{at.mean():.3f} ± {at.std(ddof=1) / len(at) ** 0.5:.3f}"
    yield from (len(BUDGETS) - curves.shape[1]) * ["-"]


def main() -> None:
    a = arguments(__doc__, METHODS, n_seeds=5)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for line in table(["front", "method", *map(str, BUDGETS)], rows(a, Path(folder))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
