"""Opening storages: reading creates nothing."""

from __future__ import annotations

from pathlib import Path
import sqlite3

import optuna
import pytest

from optuna_tnas.errors import StorageError
from optuna_tnas.studies.storage import open_storage


def test_reading_creates_neither_files_nor_tables(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        open_storage(f"sqlite:///{tmp_path}/typo.db", create=False)
    assert not list(tmp_path.iterdir())
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE notes (text)")
    with pytest.raises(StorageError, match="cannot be opened"):
        open_storage(f"sqlite:///{foreign}", create=False)
    with sqlite3.connect(foreign) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("notes",)]


def test_what_is_created_can_be_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    optuna.create_study(study_name="a", storage=open_storage(url, create=True))
    assert optuna.get_all_study_names(open_storage(url, create=False)) == ["a"]


def test_a_storage_is_taken_as_it_is() -> None:
    storage = optuna.storages.InMemoryStorage()
    assert open_storage(storage, create=False) is storage
