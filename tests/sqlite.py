"""Looking into a database that another process is just making."""

from __future__ import annotations

import sqlite3


def is_made(storage: str) -> bool:
    """Whether all tables are there: opening it with Optuna before would make them as well."""
    path = storage.removeprefix("sqlite:///")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return connection.execute("SELECT * FROM alembic_version").fetchone() is not None
        finally:
            connection.close()
    except sqlite3.Error:
        return False
