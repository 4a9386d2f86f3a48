r"""Turn collected studies into the history that the package ships.

    python -m benchmarks.build.ship_history \
        --storage sqlite:///history.db --out optuna_tnas/data/history

Copies every finished study whose values repeat into one journal file and attaches a sample of its
image set's features; the images stay where they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import shutil

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
from scipy.stats import spearmanr
from tqdm import tqdm

from benchmarks.build.load_images import load_images
from optuna_tnas import DatasetSample
from optuna_tnas.demo.shipped_history import ARTIFACTS
from optuna_tnas.demo.shipped_history import JOURNAL


MIN_AGREEMENT = 0.3  # Spearman; far above chance for all sets whose networks learn anything


def ship(storage: str, out: Path, n_trials: int) -> None:
    """Replace the folder ``out`` by the studies with ``n_trials`` completed trials that repeat."""
    shutil.rmtree(out, ignore_errors=True)
    (out / ARTIFACTS).mkdir(parents=True)
    journal = JournalStorage(JournalFileBackend(str(out / JOURNAL)))
    artifacts = FileSystemArtifactStore(out / ARTIFACTS)
    for name in tqdm(optuna.get_all_study_names(storage)):
        past = optuna.load_study(study_name=name, storage=storage)
        trials = past.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        agreement = agreement_of(trials)
        if len(trials) < n_trials or agreement < MIN_AGREEMENT:
            tqdm.write(f"left out: {name}, {len(trials)} trials, seeds agree {agreement:.2f}")
            continue
        optuna.copy_study(
            from_study_name=name, from_storage=storage, to_storage=journal, to_study_name=name
        )
        study = optuna.load_study(study_name=name, storage=journal)
        data = load_images(name)
        train = data.split == 0
        sample = DatasetSample.from_arrays(data.images[train], data.labels[train])
        sample.attach(study, artifacts)


def agreement_of(trials: Sequence[FrozenTrial]) -> float:
    """Return the Spearman coefficient of cells with two seeds; 1 if there are fewer than three."""
    pairs = [
        (trial.value, trial.user_attrs["second_log_loss"])
        for trial in trials
        if "second_log_loss" in trial.user_attrs
    ]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic) if len(pairs) > 2 else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", required=True, help="where collect_cells wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder to replace")
    parser.add_argument("--trials", type=int, default=100, help="trials that a study must have")
    a = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ship(a.storage, a.out, a.trials)


if __name__ == "__main__":
    main()
