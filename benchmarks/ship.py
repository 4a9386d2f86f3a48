"""Turn collected studies into the history that the package ships.

    python -m benchmarks.ship --storage sqlite:///history.db --out optuna_tnas/data/history

Copies every finished study into one journal file and attaches a sample of its image set's
features; the images stay where they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import shutil

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tqdm import tqdm

from benchmarks.images import load_images
from optuna_tnas import DatasetSample
from optuna_tnas.meta.shipped import ARTIFACTS
from optuna_tnas.meta.shipped import JOURNAL


def ship(storage: str, out: Path, n_trials: int) -> None:
    """Replace the folder ``out`` by the studies that have ``n_trials`` completed trials."""
    shutil.rmtree(out, ignore_errors=True)
    (out / ARTIFACTS).mkdir(parents=True)
    journal = JournalStorage(JournalFileBackend(str(out / JOURNAL)))
    artifacts = FileSystemArtifactStore(out / ARTIFACTS)
    for name in tqdm(optuna.get_all_study_names(storage)):
        past = optuna.load_study(study_name=name, storage=storage)
        if len(past.get_trials(states=(optuna.trial.TrialState.COMPLETE,))) < n_trials:
            continue
        optuna.copy_study(
            from_study_name=name, from_storage=storage, to_storage=journal, to_study_name=name
        )
        study = optuna.load_study(study_name=name, storage=journal)
        data = load_images(name)
        train = data.split == 0
        sample = DatasetSample.from_arrays(data.images[train], data.labels[train])
        sample.attach(study, artifacts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", required=True, help="where benchmarks.collect wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder to replace")
    parser.add_argument("--trials", type=int, default=40, help="trials that a study must have")
    a = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ship(a.storage, a.out, a.trials)


if __name__ == "__main__":
    main()
