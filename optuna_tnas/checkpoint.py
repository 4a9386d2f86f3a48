"""meta.pt: plain data in one file, read without executing anything."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from typing import TypeVar
import zipfile

import torch

from optuna_tnas.errors import CheckpointError
from optuna_tnas.errors import MissingSpaceError
from optuna_tnas.files import replacing


T = TypeVar("T")

FORMAT = "optuna-tnas"
VERSION = 4
_READ = (3, VERSION)  # version 3 knows one metric
_SHIPPED = Path(__file__).parent / "data" / "checkpoints"


def write(path: str | Path, state: Mapping[str, Any], check: Callable[[Any], object]) -> None:
    """Write plain data; an existing file is replaced only by one that can be read back.

    Args:
        path: The file.
        state: Plain data.
        check: Restores an object from what was read back; raises if it is incomplete.

    Raises:
        CheckpointError: If the file cannot be written, or ``state`` is not plain data.
    """
    path, content = Path(path), BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, **state}, content)
    try:
        with replacing(path) as temporary:
            # Not by torch itself, which hides why a file cannot be written.
            temporary.write_bytes(content.getbuffer())
            _restore(path, _read(temporary), check)
    except OSError as error:
        raise CheckpointError(f"The checkpoint {path} cannot be written: {error}.") from error


def read(source: str | Path, restore: Callable[[Any], T]) -> T:
    """Read plain data and restore an object from it.

    Args:
        source: A path, or the name of a checkpoint that the package ships.
        restore: Makes the object from a mapping; raises if it is incomplete.

    Raises:
        CheckpointError: If there is no such file, or it is damaged, foreign, written by a newer
            version, or holds more than plain data.
        MissingSpaceError: If ``restore`` needs a search space to be given.
    """
    path = _locate(source)
    return _restore(path, _read(path), restore)


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


def _restore(path: Path, content: Any, restore: Callable[[Any], T]) -> T:
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a PyTorch file, but not a checkpoint of optuna-tnas.")
    version = content.get("version")
    if not isinstance(version, int) or version not in _READ:  # it may be a tensor
        raise CheckpointError(
            f"{path} has format version {version!r:.50}, this package reads {_READ}; upgrade "
            "optuna-tnas or meta-train again."
        )
    try:
        return restore(content)
    except MissingSpaceError:
        raise  # the file is sound
    except Exception as error:  # whatever a wrong type or shape trips over
        raise CheckpointError(
            f"{path} is incomplete or inconsistent ({type(error).__name__}: {error}); meta-train "
            "again."
        ) from error
