"""Writing files: replaced as a whole, and refused before the work rather than after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
import os
from pathlib import Path
from uuid import uuid4

from optuna_tnas.errors import OptunaTNASError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that atomically replaces ``path`` unless the block raises.

    Args:
        path: A file that may exist; the temporary file is in the same folder.
    """
    temporary = path.parent / f".{path.name}.{uuid4().hex}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_writable(path: str | Path, option: str) -> None:
    """Refuse an output path where no file can be written.

    Args:
        path: A file that may exist.
        option: The command-line option that gave it, for the message.

    Raises:
        OptunaTNASError: If it is a folder, or its folder is missing or read-only.
    """
    path = Path(path)
    if path.is_dir():
        why = "it is a folder"
    elif not path.parent.is_dir():
        why = f"there is no folder {path.parent}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "permission denied"
    else:
        return
    raise OptunaTNASError(f"{path} cannot be written: {why}; give another {option}.")
