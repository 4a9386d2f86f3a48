"""The time of one suggestion on NAS-Bench-201, TNASSampler beside Optuna's GPSampler.

    python -m benchmarks.latency

Objective values are synthetic, since only time is looked at: no table is needed. Samplers take
turns on studies with the same random trials; all with one thread. On a busy machine look at CPU
time: the other clock also counts waiting for others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import ExitStack
import platform
from statistics import median
import time
from typing import Any
from unittest.mock import patch
import warnings

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.samplers import GPSampler
from optuna.study import Study
from optuna.trial import create_trial
import torch

from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
import optuna_tnas.sampler
import optuna_tnas.search.candidates
import optuna_tnas.search.suggester
from optuna_tnas.spaces import NASBench201Space


SPACE = NASBench201Space()
COMPLETED = (10, 100, 300)
REPEATS = 9

# The parts of a suggestion and the functions that do them.
ENCODING = "encoding, once"
PARTS: Mapping[str, tuple[Any, str]] = {
    "reading trials": (optuna_tnas.sampler.trials, "read_study"),
    "fit": (MetaSurrogate, "condition"),
    "scoring": (optuna_tnas.search.candidates.WholeSpace, "best"),
    ENCODING: (optuna_tnas.search.suggester, "candidates_of"),
}


GAINS = np.random.default_rng(0).normal(size=(len(SPACE.parameters), 5))  # of each operation


def value(row: np.ndarray, rng: np.random.Generator) -> float:
    return float(GAINS[np.arange(len(row)), row].sum() + 0.1 * rng.normal())


def study_of(n: int, seed: int, sampler: BaseSampler | None = None) -> Study:
    """A study of ``n`` random cells."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(study_name=f"{seed}", direction="maximize", sampler=sampler)
    study.add_trials(
        create_trial(
            value=value(row, rng),
            params=SPACE.decode(row),
            distributions=SPACE.distributions(),
        )
        for row in SPACE.sample(n, rng)
    )
    return study


def meta_trained() -> TNASSampler:
    """Briefly: the time of a suggestion does not depend on how good the prior is."""
    history = MetaDataset.from_studies([study_of(100, seed) for seed in (1, 2)], SPACE)
    config = Config(outer_steps=20)
    return TNASSampler(meta_train(history, config=config, progress=False), seed=0)


def samplers() -> dict[str, BaseSampler]:
    return {
        "GPSampler": GPSampler(seed=0),
        "TNAS, untrained": TNASSampler(space=SPACE, seed=0),
        "TNAS, meta-trained": meta_trained(),
    }


@contextmanager
def stopwatch() -> Iterator[Counter[str]]:
    """Seconds spent in each of the parts while it is open."""
    seconds: Counter[str] = Counter()

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - start

        return call

    with ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            stack.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        yield seconds


def suggestion(study: Study) -> Counter[str]:
    """Seconds of one suggestion and of its parts; the trial completes."""
    with stopwatch() as seconds:
        start, start_cpu = time.perf_counter(), time.process_time()
        trial = study.ask()
        params = SPACE.suggest(trial)
        seconds["all"] = time.perf_counter() - start
        seconds["CPU"] = time.process_time() - start_cpu
    study.tell(trial, value(SPACE.encode(params), np.random.default_rng(trial.number)))
    return seconds


def measure(n: int, repeats: int) -> dict[str, list[Counter[str]]]:
    """Each sampler's suggestions after ``n`` trials, after one very first that warms up.

    Each is on a study of its own, and follows one after ``n - 1`` trials: a sampler that starts
    its fit from that of the trial before is timed as it would be in a search.
    """
    compared = samplers()
    times: dict[str, list[Counter[str]]] = {name: [] for name in compared}
    for seed in range(repeats):
        for name, sampler in compared.items():
            study = study_of(n - 1, seed, sampler)
            before = suggestion(study)
            times[name] += [suggestion(study)] if seed else [before, suggestion(study)]
    return times


def milliseconds(suggestions: Sequence[Counter[str]], part: str) -> float:
    """Median over the suggestions after the first."""
    return 1000 * median(seconds[part] for seconds in suggestions[1:])


def report(completed: Sequence[int], repeats: int) -> Iterator[str]:
    """A Markdown table; the last columns say what our own time goes into."""
    parts = [part for part in PARTS if part != ENCODING]
    totals = ["ms", "of GPSampler's", "CPU ms", "of GPSampler's"]
    heads = ["trials", "sampler", *totals, *parts, "rest", ENCODING]
    yield _line(heads)
    yield "|---" * len(heads) + "|"
    for n in completed:
        times = measure(n, repeats)
        for name, suggestions in times.items():
            totals = _totals(suggestions, times["GPSampler"])
            yield _line([str(n), name, *totals, *_split(suggestions, parts)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _totals(ours: Sequence[Counter[str]], theirs: Sequence[Counter[str]]) -> Iterator[str]:
    for clock in ("all", "CPU"):
        total = milliseconds(ours, clock)
        yield f"{total:.1f}"
        yield f"{total / milliseconds(theirs, clock):.2f}"


def _split(suggestions: Sequence[Counter[str]], parts: Sequence[str]) -> list[str]:
    if ENCODING not in suggestions[0]:
        return ["-"] * (len(parts) + 2)  # not ours
    rest = [Counter(all=s["all"] - sum(s[part] for part in parts)) for s in suggestions]
    cells = [f"{milliseconds(suggestions, part):.1f}" for part in parts]
    return [*cells, f"{milliseconds(rest, 'all'):.1f}", f"{1000 * suggestions[0][ENCODING]:.0f}"]


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    torch.set_num_threads(1)
    versions = f"optuna {optuna.__version__}, torch {torch.__version__}"
    print(
        f"One suggestion on NAS-Bench-201, all {SPACE.size:,} cells scored; median of {REPEATS} "
        f"studies. {platform.machine()}, one thread, {versions}.\n"
    )
    for line in report(COMPLETED, REPEATS):
        print(line, flush=True)


if __name__ == "__main__":
    main()
