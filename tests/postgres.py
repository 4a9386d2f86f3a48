"""A PostgreSQL server of one's own, that may be stopped and started again."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import socket
import subprocess


def programs() -> Path | None:
    """Find the folder of the server's programs; None without them."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    complete = [folder for folder in folders if (folder / "initdb").exists()]
    return complete[-1] if complete else None


class PostgresServer:
    """A server on a free port of this machine, which keeps its data in a folder.

    Args:
        folder: A new folder, which an unprivileged user may enter.
        options: More options of the server.
    """

    def __init__(self, folder: Path, options: str = "") -> None:
        found = programs()
        assert found is not None, "PostgreSQL is not installed"
        self._programs, self._folder = found, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {folder} {options}"
        folder.mkdir()
        if os.getuid() == 0:  # the server refuses to be run by root
            shutil.chown(folder, "postgres", "postgres")
        self._run("initdb", "-U", "postgres", "--auth=trust", "--no-sync", "-D", self._data)
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-l", log, "-o", self._options, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop as a crash does (``"immediate"``), or roll back what is open (``"fast"``)."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.getuid() == 0 else None
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=self._folder)
