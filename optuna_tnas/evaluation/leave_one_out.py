"""Leave-one-out evaluation: each past study searched once, resumable from its file."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import as_completed
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
import json
import multiprocessing
from pathlib import Path
import signal
from typing import Any

from tqdm import tqdm

from optuna_tnas.config import Config
from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.evaluation import fronts
from optuna_tnas.evaluation import replay
from optuna_tnas.evaluation.fronts import FrontOutcome
from optuna_tnas.evaluation.replay import leave_out
from optuna_tnas.evaluation.replay import Outcome
from optuna_tnas.files import replacing
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.settings import check_settings


_OPENING = '{"settings": '  # of every line

_Unit = tuple[int, str]  # a seed and a target: a task's label, or a study's name for its front
_Found = Outcome | FrontOutcome
_Map = Callable[[Callable[[_Unit], _Found], Sequence[_Unit]], Iterable[_Found]]


class Evaluation:
    """A leave-one-out evaluation: one outcome for each metric of a past study and seed.

    A study with several objectives has one more, of all objectives together.

    Args:
        history: The past studies, at least two.
        path: File of JSON lines, one an outcome; outcomes that it holds are not computed again.
        preset: Preset of the surrogates, ``"default"`` or ``"paper"``.
        n_trials: Trials of each search.
        seeds: Seeds, with a meta-training each for every study.

    Raises:
        HistoryError: If there is only one study.
        StudyError: If the file holds an evaluation of another history or with other settings.
        OptunaTNASError: If the file is no evaluation, or cannot be read.
    """

    def __init__(
        self, history: MetaDataset, path: Path, *, preset: str, n_trials: int, seeds: range
    ) -> None:
        replay.check(history)
        self._history = history
        self._path = path
        self._config = Config.preset(preset)
        self._n_trials = n_trials
        self._fronts = fronts.targets(history)
        self._targets = [*replay.targets(history), *self._fronts]
        self._units = [(seed, target) for seed in seeds for target in self._targets]
        self._settings = {"history": history.fingerprint, "preset": preset, "trials": n_trials}
        self._kept = self._read()

    @property
    def outcomes(self) -> list[Outcome]:
        """The finished outcomes of single metrics, ordered by seed."""
        return [found for found in self._finished if isinstance(found, Outcome)]

    @property
    def fronts(self) -> list[FrontOutcome]:
        """The finished outcomes of several objectives together, ordered by seed."""
        return [found for found in self._finished if isinstance(found, FrontOutcome)]

    @property
    def n_missing(self) -> int:
        """Number of outcomes that are not computed yet."""
        return len(self._units) - len(self._finished)

    @property
    def _finished(self) -> list[_Found]:
        return [self._kept[unit] for unit in self._units if unit in self._kept]

    def run(self, jobs: int = 1) -> None:
        """Compute the missing outcomes, with a progress bar on standard error.

        Args:
            jobs: Number of processes.

        Raises:
            OptunaTNASError: If the file cannot be written.
        """
        self._write()
        missing = [unit for unit in self._units if unit not in self._kept]
        done = len(self._units) - len(missing)
        with (
            _mapping(jobs) as map_,
            tqdm(total=len(self._units), initial=done, desc="evaluation", unit="study") as bar,
        ):
            for outcome in map_(self._leave_out, missing):
                with self._path.open("a") as file:  # closed, so it is there whatever happens
                    file.write(self._line(outcome))
                self._kept[outcome.seed, outcome.target] = outcome
                bar.update()
        self._write()

    def _leave_out(self, unit: _Unit) -> _Found:
        seed, target = unit
        search = fronts.leave_out if target in self._fronts else leave_out
        return search(self._history, target, seed, config=self._config, n_trials=self._n_trials)

    # --- the file ---------------------------------------------------------------------------

    def _line(self, outcome: _Found) -> str:
        return json.dumps({"settings": self._settings, **asdict(outcome)}) + "\n"

    def _read(self) -> dict[_Unit, _Found]:
        """Read the file's outcomes, without a last line that was cut off."""
        try:
            *lines, rest = self._path.read_text().split("\n") if self._path.exists() else [""]
            if not (rest.startswith(_OPENING) or _OPENING.startswith(rest)):
                raise ValueError("no outcome")
            records = [json.loads(line) for line in lines]
            settings = [record.pop("settings") for record in records]
            outcomes = [_outcome(record) for record in records]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OptunaTNASError(
                f"{self._path} cannot be continued, it is not an evaluation "
                f"({type(error).__name__}: {error}); give another --out."
            ) from error
        for found in settings:
            where = f"The evaluation in {self._path}"
            check_settings(where, found, self._settings, "give another --out")
        return {(outcome.seed, outcome.target): outcome for outcome in outcomes}

    def _write(self) -> None:
        """Replace the file, in an order that does not depend on which outcome was first."""
        order = {target: place for place, target in enumerate(self._targets)}
        kept = sorted(self._kept.items(), key=lambda item: (item[0][0], order[item[0][1]]))
        try:
            with replacing(self._path) as temporary:
                temporary.write_text("".join(self._line(outcome) for _, outcome in kept))
        except OSError as error:
            raise OptunaTNASError(f"{self._path} cannot be written: {error}.") from error


def _outcome(record: dict[str, Any]) -> _Found:
    """Make an outcome of a file's record, whose correlation was called prediction once."""
    if "hypervolume_regret" in record:
        return FrontOutcome(**record)
    if "prediction" in record:
        record["rank_correlation"] = record.pop("prediction")
    return Outcome(**record)


# --- processes ------------------------------------------------------------------------------


@contextmanager
def _mapping(jobs: int) -> Iterator[_Map]:
    """Give a map in this process, or in ``jobs`` ones that end with the context in any case."""
    if jobs == 1:
        yield map
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_leave_interrupts) as pool:
        try:
            yield lambda function, units: (
                future.result()
                for future in as_completed([pool.submit(function, unit) for unit in units])
            )
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _leave_interrupts() -> None:
    """Ignore Ctrl-C: the parent handles it and ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
