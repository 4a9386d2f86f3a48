"""The history that comes with the package: cells really trained on real image sets."""

from __future__ import annotations

from pathlib import Path

from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.studies.history import MetaDataset


FOLDER = Path(__file__).parents[1] / "data" / "history"
JOURNAL = "journal.log"
ARTIFACTS = "artifacts"


def shipped_history() -> MetaDataset:
    """NAS-Bench-201 cells on image sets, one study each, with a sample of every image set.

    Values are held-out log losses of the training that
    :class:`~optuna_tnas.demo.cell_training.Recipe` describes; each trial also has its
    ``accuracy``, ``seconds`` and ``n_parameters``.
    """
    storage = JournalStorage(JournalFileBackend(str(FOLDER / JOURNAL)))
    artifacts = FileSystemArtifactStore(FOLDER / ARTIFACTS)
    return MetaDataset.from_storage(storage, NASBench201Space(), artifact_store=artifacts)
