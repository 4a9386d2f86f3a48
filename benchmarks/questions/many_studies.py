"""How long does meta-training on many past studies take, and how much memory?

    python -m benchmarks.questions.many_studies --storage postgresql+psycopg2://USER@HOST/DATABASE

Without ``--storage`` the studies are in an SQLite file. Each is a search on one of NAS-Bench-201's
five tasks: 100 random cells with the table's values. They are written once, which is not timed;
then new processes meta-train on them, with the threads that a user has, and suggest a first cell.
With ``--data-sets`` every study has one of the package's image sets attached, else none is known.
A storage is empty at first; given again, it is used as it is. Memory is a process's peak.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from datetime import datetime
from itertools import cycle
from itertools import islice
import json
from pathlib import Path
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.distributions import distribution_to_json
from optuna.study import Study
import sqlalchemy as sa

from benchmarks import tasks
from optuna_tnas import Config
from optuna_tnas import MetaDataset
from optuna_tnas import TNASSampler
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.meta import training
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space


N_TRIALS = 100
SIZES = (100, 300, 1000)
COLUMNS = (
    "reading",
    "REPTILE",
    "past GPs, warm start",
    "saving",
    "together",
    "peak GB",
    "checkpoint MB",
    "suggestion",
    "its peak GB",
)


# --- the studies ----------------------------------------------------------------------------


def write(url: str, n_studies: int, artifacts: Path | None) -> None:
    """Fill a storage up to ``n_studies`` studies.

    Args:
        url: Of an SQLite or a PostgreSQL database.
        n_studies: Q.
        artifacts: A folder for the studies' data sets; None if they are unknown.
    """
    storage = optuna.storages.get_storage(url)
    present = set(optuna.get_all_study_names(storage))
    writer = TrialWriter(url)
    family = tasks.load("nasbench201x5")
    wanted = islice(cycle(family.tasks.items()), n_studies)
    rng = np.random.default_rng(0)
    for q, (name, task) in enumerate(wanted):
        X = family.space.sample(N_TRIALS, rng)  # drawn for every study, so that q decides alone
        study_name = f"{name} {q:04d}"
        if study_name not in present:
            study = optuna.create_study(
                study_name=study_name, storage=storage, direction="maximize"
            )
            values = [task.evaluate(row).value for row in X]
            writer.write(study, family.space, X, values)
            _attach(study, q, artifacts)


class TrialWriter:
    """Inserts completed trials a hundred times as fast as Optuna, which commits each of them.

    Args:
        url: Of a database that Optuna has created its tables in.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        self._metadata = sa.MetaData()
        self._metadata.reflect(self._engine, only=["trials", "trial_params", "trial_values"])

    def write(self, study: Study, space: Space, X: np.ndarray, values: Sequence[float]) -> None:
        """``n x P`` architectures and ``n`` values."""
        tables = self._metadata.tables
        with self._engine.begin() as connection:
            last = connection.scalar(sa.select(sa.func.max(tables["trials"].c.trial_id))) or 0
            ids = range(last + 1, last + 1 + len(X))
            for name, rows in (
                ("trials", _trials(study, ids)),
                ("trial_params", _params(space, ids, X)),
                ("trial_values", _values(ids, values)),
            ):
                connection.execute(sa.insert(tables[name]).values(list(rows)))


def _trials(study: Study, ids: range) -> Iterator[dict[str, Any]]:
    now = datetime(2024, 1, 1)
    for number, trial_id in enumerate(ids):
        yield {
            "trial_id": trial_id,
            "number": number,
            "study_id": study._study_id,
            "state": "COMPLETE",
            "datetime_start": now,
            "datetime_complete": now,
        }


def _params(space: Space, ids: range, X: np.ndarray) -> Iterator[dict[str, Any]]:
    distributions = {name: distribution_to_json(d) for name, d in space.distributions().items()}
    for trial_id, row in zip(ids, X, strict=True):
        for (name, distribution), choice in zip(distributions.items(), row, strict=True):
            yield {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": float(choice),
                "distribution_json": distribution,
            }


def _values(ids: range, values: Sequence[float]) -> Iterator[dict[str, Any]]:
    for trial_id, value in zip(ids, values, strict=True):
        yield {"trial_id": trial_id, "objective": 0, "value": value, "value_type": "FINITE"}


def _attach(study: Study, q: int, artifacts: Path | None) -> None:
    if artifacts is not None:
        known = shipped_history().tasks
        sample = known[q % len(known)].dataset
        assert sample is not None
        sample.attach(study, FileSystemArtifactStore(artifacts))


# --- what is measured, each in a process of its own -----------------------------------------


def train(url: str, artifacts: Path | None, checkpoint: str, config: Config) -> dict[str, float]:
    """Read, meta-train and save; seconds of each, peak memory and the checkpoint's size."""
    store = None if artifacts is None else FileSystemArtifactStore(artifacts)
    history, reading = timed(
        lambda: MetaDataset.from_storage(url, NASBench201Space(), artifact_store=store)
    )
    reptile: list[float] = []

    def train_kernel(*args: Any, **kwargs: Any) -> Any:
        result, seconds = timed(lambda: original(*args, **kwargs))
        reptile.append(seconds)
        return result

    original = training.train_kernel
    with patch.object(training, "train_kernel", train_kernel):
        meta, learning = timed(
            lambda: training.meta_train(history, config=config, seed=0, progress=False)
        )
    _, saving = timed(lambda: meta.save(checkpoint))
    assert len(meta.provenance["tasks"]) == len(history.tasks)
    return {
        "reading": reading,
        "REPTILE": reptile[0],
        "past GPs, warm start": learning - reptile[0],
        "saving": saving,
        "together": reading + learning + saving,
        "peak GB": peak_memory(),
        "checkpoint MB": Path(checkpoint).stat().st_size / 1e6,
        "studies": len(history.tasks),
        "held out before": meta.provenance["losses"]["held out before"],
        "held out": meta.provenance["losses"]["held out"],
    }


def suggest(checkpoint: str) -> dict[str, float]:
    """Load a checkpoint and suggest a new study's first cell."""
    space = NASBench201Space()

    def first() -> None:
        study = optuna.create_study(sampler=TNASSampler.load(checkpoint, seed=0))
        space.suggest(study.ask())

    _, seconds = timed(first)
    return {"suggestion": seconds, "its peak GB": peak_memory()}


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """A function's result and its seconds."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def peak_memory() -> float:
    """GB that this process has had at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


# --- the table ------------------------------------------------------------------------------


def measure(url: str, artifacts: Path | None) -> dict[str, float]:
    """What new processes need to meta-train on a storage and to suggest a first cell."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = str(Path(folder) / "meta.pt")
        folder_of_artifacts = [] if artifacts is None else ["--artifacts", str(artifacts)]
        trained = _in_new_process("--train", url, checkpoint, *folder_of_artifacts)
        return {**trained, **_in_new_process("--suggest", checkpoint)}


def _in_new_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.questions.many_studies", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report(url: str | None, sizes: Sequence[int], known: bool) -> Iterator[str]:
    """The lines of a Markdown table, a row for each number of studies."""
    yield f"| storage | studies | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    with tempfile.TemporaryDirectory() as folder:
        url = url or f"sqlite:///{folder}/history.db"
        artifacts = Path(folder) if known else None
        for size in sorted(sizes):
            write(url, size, artifacts)
            found = measure(url, artifacts)
            assert found["studies"] == size, "the storage holds other studies too"
            cells = [f"{found[column]:.4g}" for column in COLUMNS]
            yield f"| {sa.make_url(url).get_backend_name()} | {size} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", help="URL of an empty database; an SQLite file unless given")
    parser.add_argument("--studies", default=",".join(map(str, SIZES)), help="with commas")
    parser.add_argument("--data-sets", action="store_true", help="known ones")
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--artifacts", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--suggest", help=argparse.SUPPRESS)
    a = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if a.train:
        print(json.dumps(train(a.train[0], a.artifacts, a.train[1], Config())))
    elif a.suggest:
        print(json.dumps(suggest(a.suggest)))
    else:
        for line in report(a.storage, [int(n) for n in a.studies.split(",")], a.data_sets):
            print(line, flush=True)


if __name__ == "__main__":
    main()
