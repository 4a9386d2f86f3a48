"""meta.pt: a surrogate as plain data, read without executing anything."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from uuid import uuid4
import zipfile

import numpy as np
import torch

from optuna_tnas.config import Config
from optuna_tnas.errors import CheckpointError
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.past import Past


FORMAT = "optuna-tnas"
VERSION = 3
_SHIPPED = Path(__file__).parent / "data" / "checkpoints"


def save(surrogate: MetaSurrogate, path: str | Path) -> None:
    """Write a surrogate; an existing file is replaced only by one that can be read back.

    Raises:
        CheckpointError: If the file cannot be written, or the surrogate is not plain data with
            finite weights.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "space": surrogate.space.declaration(),
        "config": surrogate.config.state(),
        "n_features": surrogate.dataset_encoder.n_features,
        "weights": {name: value.cpu() for name, value in surrogate.state_dict().items()},
        "warm_start": torch.from_numpy(surrogate.warm_start),
        "past": _past_content(surrogate.past),
        "provenance": surrogate.provenance,
    }
    path = Path(path)
    temporary = path.parent / f".{path.name}.{uuid4().hex}"
    try:
        with open(temporary, "xb") as file:
            torch.save(content, file)
        _restore(path, _read(temporary))
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(f"The checkpoint {path} cannot be written: {error}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def load(source: str | Path) -> MetaSurrogate:
    """Read a surrogate.

    Args:
        source: A path, or the name of a checkpoint that the package ships.

    Raises:
        CheckpointError: If there is no such file, or it is damaged, foreign, written by a newer
            version, or holds more than plain data.
    """
    path = _locate(source)
    return _restore(path, _read(path))


def _read(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch.load does not look at the checksums
        if broken is not None:
            raise zipfile.BadZipFile(f"the checksum of {broken!r} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # its text recommends to load without weights_only
        raise CheckpointError(
            f"{path} holds more than plain data, so it is not read: it could run code. "
            "Checkpoints of optuna-tnas are plain data; write it again with meta.save(...)."
        ) from error
    except Exception as error:  # zip, EOF and runtime errors, by the kind of damage
        raise CheckpointError(
            f"{path} is not a checkpoint of optuna-tnas, or it is damaged; write it again with "
            f"meta.save(...). ({type(error).__name__}: {error})"
        ) from error


def _locate(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in _SHIPPED.glob("*.pt")}
    if str(source) in shipped:
        return shipped[str(source)]
    names = f"the shipped checkpoints are {sorted(shipped)}" if shipped else "none are shipped"
    raise CheckpointError(f"There is no checkpoint {str(source)!r}: no such file, and {names}.")


def _restore(path: Path, content: Any) -> MetaSurrogate:
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a PyTorch file, but not a checkpoint of optuna-tnas.")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has format version {content.get('version')!r}, this package reads {VERSION}; "
            "upgrade optuna-tnas or meta-train again."
        )
    try:
        config = Config.from_state(content["config"])
        space = Space.from_declaration(content["space"])
        surrogate = MetaSurrogate(space, config, n_features=content["n_features"])
        surrogate.load_state_dict(content["weights"])
        surrogate.warm_start = _rows(content["warm_start"], space)
        surrogate.past = _past(content["past"], surrogate)
        surrogate.provenance = dict(content["provenance"])
    except Exception as error:  # whatever a wrong type or shape trips over
        raise CheckpointError(
            f"{path} is incomplete or inconsistent ({type(error).__name__}: {error}); meta-train "
            "again."
        ) from error
    encoder = surrogate.dataset_encoder
    values = [*surrogate.parameters(), encoder.feature_mean, encoder.feature_scale]
    if surrogate.past is not None:
        values += [surrogate.past.datasets, surrogate.past.weights]
    if not all(value.isfinite().all() for value in values):
        raise CheckpointError(f"{path} has NaN or infinite weights; meta-train again.")
    # Frozen as meta_train leaves it: torch's attention rounds otherwise for weights that train.
    return surrogate.requires_grad_(False).eval()


def _rows(architectures: torch.Tensor, space: Space) -> np.ndarray:
    rows = np.asarray(architectures.numpy(), dtype=np.int64)
    if rows.ndim != 2 or (rows < 0).any() or (rows >= space.n_choices).any():
        raise ValueError("architectures outside the space")
    return rows


def _past_content(past: Past | None) -> dict[str, torch.Tensor] | None:
    """Plain data, in small integers."""
    if past is None:
        return None
    return {
        "X": torch.from_numpy(past.X.astype(np.int16)),
        "task": torch.from_numpy(past.task.astype(np.int32)),
        "datasets": past.datasets,
        "weights": past.weights,
    }


def _past(content: Mapping[str, torch.Tensor] | None, surrogate: MetaSurrogate) -> Past | None:
    if content is None:
        return None
    X = _rows(content["X"], surrogate.space)
    task = np.asarray(content["task"].numpy(), dtype=np.int64)
    datasets, weights = content["datasets"], content["weights"]
    shapes = (task.shape, datasets.shape[1:], weights.shape)
    width = surrogate.config.dataset_dim
    if shapes != ((len(X),), (width,), (2, len(X))):
        raise ValueError("past studies of another shape")
    if ((task < 0) | (task >= len(datasets))).any():
        raise ValueError("trials of studies that are not there")
    return Past(X, task, datasets, weights)
