"""Opening Optuna storages by URL."""

from __future__ import annotations

from pathlib import Path

from optuna.storages import BaseStorage
from optuna.storages import get_storage
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url

from optuna_tnas.errors import StorageError


_EXAMPLES = "'sqlite:///history.db' or 'postgresql+psycopg2://user@host/database'"


def open_storage(storage: str | BaseStorage, *, create: bool) -> BaseStorage:
    """Open a storage.

    Args:
        storage: A database URL; a storage is given back as it is.
        create: Whether to make the database's tables if there are none. Without, nothing is
            created, neither tables nor an SQLite file, and nothing that is read is kept.

    Raises:
        StorageError: If the URL is not one, there is no such storage, or it cannot be opened.
    """
    if not isinstance(storage, str):
        return get_storage(storage)
    try:
        url = make_url(storage)
    except Exception as error:  # ArgumentError, or ValueError for the port
        raise StorageError(
            f"{storage!r} is not the URL of a storage; give one such as {_EXAMPLES}."
        ) from error
    file = url.database if url.get_backend_name() == "sqlite" else None
    in_memory = url.get_backend_name() == "sqlite" and file in (None, "", ":memory:")
    if file and not in_memory and not create and not Path(file).exists():
        raise StorageError(f"There is no storage {storage!r}: the file {file} does not exist.")
    try:
        database = RDBStorage(storage, skip_table_creation=not (create or in_memory))
        # Optuna's cache would hold every trial that is read until the end.
        return get_storage(database) if create else database
    except Exception as error:  # many kinds: drivers', SQLAlchemy's and Optuna's
        shown = url.render_as_string(hide_password=True)
        raise StorageError(
            f"The storage {shown!r} cannot be opened: {_first_line(error)}; check the URL."
        ) from error


def _first_line(error: BaseException) -> str:
    """Give the driver's own words, without Optuna's and SQLAlchemy's advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
