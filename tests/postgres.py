"""A PostgreSQL server of one's own, that may be stopped and started again."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import socket
import subprocess
import tempfile


def programs() -> Path | None:
    """Find the folder of the server's programs; None without them."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    complete = [folder for folder in folders if (folder / "initdb").exists()]
    return complete[-1] if complete else None


class PostgresServer:
    """A server on a free port of this machine, which keeps its data in a temporary folder.

    Args:
        options: More options of the server.
    """

    def __init__(self, options: str = "") -> None:
        found = programs()
        assert found is not None, "PostgreSQL is not installed"
        self._programs = found
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data, self._log = str(self._folder / "data"), str(self._folder / "log")
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -k {self._folder} {options}"
        if os.getuid() == 0:  # the server refuses to be run by root
            shutil.chown(self._folder, "postgres", "postgres")
        self._run("initdb", "-U", "postgres", "--auth=trust", "--no-sync", "-D", self._data)
        self.start()

    def start(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-l", self._log, "-o", self._options, "-w", "start")

    def stop(self) -> None:
        """Stop as a crash does."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def close(self) -> None:
        """Stop, and remove the data."""
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.getuid() == 0 else None
        command = [str(self._programs / program), *arguments]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, stdout=quiet, user=user, cwd=self._folder)
