"""Finished trainings and searches, one small file each, so that many processes share them."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

from benchmarks.common.files import replaced


Record = dict[str, Any]


class Store:
    """A folder of records by what they are of; a record appears whole or not at all.

    Args:
        folder: Made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def known(self, key: tuple[object, ...]) -> bool:
        """Tell whether there is a record."""
        return self._path(key).exists()

    def get(self, key: tuple[object, ...], make: Callable[[], Record]) -> Record:
        """Read the record, or make and keep it."""
        path = self._path(key)
        if not path.exists():
            record = make()
            with replaced(path) as file:
                file.write(json.dumps(record).encode())
        found: Record = json.loads(path.read_text())
        return found

    def records(self) -> list[Record]:
        """Read all records, in an order that does not depend on who was first."""
        return [json.loads(path.read_text()) for path in sorted(self._folder.rglob("*.json"))]

    def add(self, records: list[Record], key_of: Callable[[Record], tuple[object, ...]]) -> None:
        """Keep records of an earlier run that are not here."""
        for record in records:
            self.get(key_of(record), lambda record=record: record)  # type: ignore[misc]

    def _path(self, key: tuple[object, ...]) -> Path:
        *folders, name = map(str, key)
        return self._folder.joinpath(*folders, f"{name}.json")
