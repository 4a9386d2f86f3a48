"""The time of one suggestion, TNASSampler beside Optuna's GPSampler in the same run.

    python -m benchmarks.latency [--cases nasbench201:100,mobilenetv3:60] [--repeats 9]

Objective values are synthetic, since only time is looked at: no table is needed. Both samplers
take turns on studies with the same random trials. Each case runs in two processes, one as
installed (no environment variable set) and one with a single thread. On a busy machine look at
CPU time: the other clock also counts waiting for others. Last comes the first suggestion of a
fresh process with the shipped checkpoint, part by part.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import ExitStack
import json
import os
import platform
from statistics import median
import subprocess
import sys
import time
from typing import Any
from unittest.mock import patch
import warnings


CASES = (
    "nasbench201:10",
    "nasbench201:100",
    "nasbench201:100:reports",
    "nasbench201:300",
    "nasbench201:1000",
    "nasbench201:10000",
    "mobilenetv3:60",
    "mobilenetv3:300",
)
OURS_ALONE = 2000  # trials from which on GPSampler is not run: its time grows with their cube
REPEATS = 9
_N_REPORTS = 20
SETTINGS = ("as installed", "one thread")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ENCODING = "encoding, once"

Seconds = defaultdict[str, float]  # by part


def parts() -> Mapping[str, Sequence[tuple[Any, str]]]:
    """The parts of a suggestion and the functions that do them."""
    import optuna_tnas.sampler
    from optuna_tnas.search.evolution import EvolutionarySearch
    from optuna_tnas.search.exhaustive import ExhaustiveSearch

    searches = (ExhaustiveSearch, EvolutionarySearch)
    return {
        "reading trials": [(optuna_tnas.sampler.trials, "read_study")],
        "fit": [(search, "fit") for search in searches],
        "scoring": [(search, "maximize") for search in searches],
        ENCODING: [(search, "__init__") for search in searches],
    }


class Case:
    """Studies of random trials in one space.

    Args:
        name: ``"space:trials"``, or ``"space:trials:reports"``: all trials reported 20 values and
            every second one was pruned on the way.
    """

    def __init__(self, name: str) -> None:
        import numpy as np

        from optuna_tnas.spaces import MobileNetV3Space
        from optuna_tnas.spaces import NASBench201Space

        space, n, *reports = name.split(":")
        self.reports = bool(reports)
        self.space = NASBench201Space() if space == "nasbench201" else MobileNetV3Space()
        self.n = int(n)
        shape = (len(self.space.parameters), max(self.space.n_choices))
        self._gains = np.random.default_rng(0).normal(size=shape)  # of each choice

    def value(self, row: Any, seed: int) -> float:
        import numpy as np

        noise = 0.1 * np.random.default_rng(seed).normal()
        return float(self._gains[np.arange(len(row)), row].sum() + noise)

    def study_of(self, n: int, seed: int, sampler: Any = None) -> Any:
        """A study of ``n`` random architectures."""
        import numpy as np
        import optuna
        from optuna.trial import create_trial

        study = optuna.create_study(study_name=f"{seed}", direction="maximize", sampler=sampler)
        distributions = self.space.distributions()
        for i, row in enumerate(self.space.sample(n, np.random.default_rng(seed))):
            params = self.space.decode(row)
            known = {name: distributions[name] for name in params}
            ended = self._ended(self.value(row, i), i)
            study.add_trial(create_trial(params=params, distributions=known, **ended))
        return study

    def _ended(self, value: float, number: int) -> dict[str, Any]:
        """How a trial ended."""
        from optuna.trial import TrialState

        if not self.reports:
            return {"value": value}
        steps = range(_N_REPORTS if number % 2 else 1 + number % _N_REPORTS)
        reports = {"intermediate_values": {s: value * (s + 1) / _N_REPORTS for s in steps}}
        return (
            {"value": value, **reports} if number % 2 else {"state": TrialState.PRUNED, **reports}
        )

    def samplers(self) -> dict[str, Any]:
        from optuna_tnas import TNASSampler

        ours: dict[str, Any] = {
            "TNAS, untrained": TNASSampler(space=self.space, seed=0),
            "TNAS, meta-trained": self._meta_trained(),
        }
        return ours if self.n > OURS_ALONE else {"GPSampler": _gp_sampler(), **ours}

    def _meta_trained(self) -> Any:
        """Briefly: the time of a suggestion does not depend on how good the prior is."""
        from optuna_tnas import Config
        from optuna_tnas import meta_train
        from optuna_tnas import MetaDataset
        from optuna_tnas import TNASSampler

        history = MetaDataset.from_studies(
            [self.study_of(100, seed) for seed in (1, 2)], self.space
        )
        config = Config(outer_steps=20)
        return TNASSampler(meta_train(history, config=config, progress=False), seed=0)

    def suggestion(self, study: Any) -> Seconds:
        """Seconds of one suggestion and of its parts; the trial completes."""
        with stopwatch() as seconds:
            start, start_cpu = time.perf_counter(), time.process_time()
            trial = study.ask()
            params = self.space.suggest(trial)
            seconds["all"] = time.perf_counter() - start
            seconds["CPU"] = time.process_time() - start_cpu
        study.tell(trial, self.value(self.space.encode(params), trial.number))
        return seconds

    def measure(self, repeats: int) -> dict[str, list[Seconds]]:
        """Each sampler's suggestions after ``n`` trials, after one very first that warms up.

        Each is on a study of its own, and follows one after ``n - 1`` trials: a sampler that
        keeps something from the trial before is timed as it would be in a search.
        """
        compared = self.samplers()
        times: dict[str, list[Seconds]] = {name: [] for name in compared}
        for seed in range(repeats):
            for name, sampler in compared.items():
                study = self.study_of(self.n - 1, seed, sampler)
                before = self.suggestion(study)
                times[name] += (
                    [self.suggestion(study)] if seed else [before, self.suggestion(study)]
                )
        return times


def _gp_sampler() -> Any:
    """GPSampler, silent on the conditional parameters that it samples independently."""
    from optuna.samplers import GPSampler

    return GPSampler(seed=0, warn_independent_sampling=False)


@contextmanager
def stopwatch() -> Iterator[Seconds]:
    """Seconds spent in each of the parts while it is open."""
    seconds: Seconds = defaultdict(float)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - start

        return call

    with ExitStack() as stack:
        for part, functions in parts().items():
            for owner, name in functions:
                stack.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        yield seconds


# --- one process a case and a setting -------------------------------------------------------


def in_process(setting: str, *arguments: str) -> Any:
    """Run this program anew with the environment of a setting; its JSON."""
    environment = {name: v for name, v in os.environ.items() if name not in _THREADS}
    if setting == "one thread":
        environment |= dict.fromkeys(_THREADS, "1")
    command = [sys.executable, "-m", "benchmarks.latency", *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def _quiet() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def first_suggestion() -> dict[str, float]:
    """Seconds of the parts of a fresh process's first suggestion with a shipped checkpoint."""
    start = time.perf_counter()
    import optuna

    from optuna_tnas import TNASSampler
    from optuna_tnas.search.exhaustive import ExhaustiveSearch  # noqa: F401  (all that it loads)

    imported = time.perf_counter()
    import torch.fx.experimental.symbolic_shapes  # noqa: F401  (PyTorch does, when first needed)

    all_imported = time.perf_counter()
    sampler = TNASSampler.load("nasbench201", seed=0)
    loaded = time.perf_counter()
    _quiet()
    study = optuna.create_study(direction="maximize", sampler=sampler)
    with stopwatch() as seconds:
        sampler.space.suggest(study.ask())
    done = time.perf_counter()
    rest = done - loaded - seconds[ENCODING]
    return {
        "imports": imported - start,
        "imports that PyTorch puts off": all_imported - imported,
        "reading the checkpoint": loaded - all_imported,
        "encoding the space": seconds[ENCODING],
        "rest": rest,
        "all but the imports": done - all_imported,
    }


# --- tables ---------------------------------------------------------------------------------


def milliseconds(suggestions: Sequence[Mapping[str, float]], part: str) -> float:
    """Median over the suggestions after the first."""
    return 1000 * median(seconds.get(part, 0.0) for seconds in suggestions[1:])


def rows(case: str, measured: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    """The table's rows of one case."""
    timed = ["reading trials", "fit", "scoring"]
    for setting, times in measured.items():
        for name, suggestions in times.items():
            ms = milliseconds(suggestions, "all")
            alone = milliseconds(measured["one thread"][name], "all")
            peer = milliseconds(times["GPSampler"], "all") if "GPSampler" in times else None
            cells = [case, setting, name, f"{ms:.1f}", f"{ms / peer:.2f}" if peer else "-"]
            cells += [f"{ms / alone:.2f}", f"{milliseconds(suggestions, 'CPU'):.1f}"]
            if ENCODING in suggestions[0]:
                cells += [f"{milliseconds(suggestions, part):.1f}" for part in timed]
                cells.append(f"{1000 * suggestions[0][ENCODING]:.0f}")
            else:
                cells += ["-"] * (len(timed) + 1)  # not ours
            yield cells


HEADS = [
    *("space:trials", "setting", "sampler", "ms", "of GPSampler's", "of one thread's", "CPU ms"),
    *("reading trials", "fit", "scoring", ENCODING),
]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _repeats(case: str, repeats: int) -> int:
    """Fewer where a study takes long to make and GPSampler to suggest."""
    return max(2, repeats // 3) if int(case.split(":")[1]) >= 1000 else repeats


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default=",".join(CASES), help="space:trials, with commas")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="studies of each case")
    parser.add_argument("--measure", metavar="CASE", help=argparse.SUPPRESS)
    parser.add_argument("--first", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.first:
        print(json.dumps(first_suggestion()))
        return
    if a.measure:
        _quiet()
        print(json.dumps(Case(a.measure).measure(a.repeats)))
        return
    _report(a.cases.split(","), a.repeats)


def _report(cases: Sequence[str], repeats: int) -> None:
    print(f"One suggestion, median of {repeats} studies. {platform.machine()}.\n")
    print(_line(HEADS))
    print("|---" * len(HEADS) + "|")
    for case in cases:
        arguments = ("--measure", case, "--repeats", str(_repeats(case, repeats)))
        measured = {setting: in_process(setting, *arguments) for setting in SETTINGS}
        for cells in rows(case, measured):
            print(_line(cells), flush=True)
    first = {setting: in_process(setting, "--first") for setting in SETTINGS}
    print("\nFirst suggestion of a fresh process, shipped checkpoint `nasbench201`, seconds:\n")
    print(_line(["setting", *first["one thread"]]))
    print("|---" * (len(first["one thread"]) + 1) + "|")
    for setting, seconds in first.items():
        print(_line([setting, *(f"{s:.2f}" for s in seconds.values())]), flush=True)


if __name__ == "__main__":
    main()
