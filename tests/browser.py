"""optuna-dashboard really served, and a really running headless browser that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import shutil
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.request import urlopen


BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


@contextmanager
def serve(storage: str, *options: str) -> Iterator[str]:
    """The address of a dashboard on the storage, started with these options of its command."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), storage, *options]
    where = ["--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"]
    process = subprocess.Popen([*command, *where], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "optuna-dashboard ended"
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("optuna-dashboard does not answer")


def fetched(url: str) -> dict[str, Any]:
    """What an address of the dashboard's interface answers."""
    with urlopen(url) as response:
        content: dict[str, Any] = json.load(response)
    return content


def rendered(url: str, folder: Path, *options: str) -> str:
    """The page's DOM after its scripts have run; ``--screenshot=FILE`` takes a picture too."""
    assert BROWSER is not None
    fixed = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,2400",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    command = [BROWSER, *fixed, *options, f"--user-data-dir={folder}/browser", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout
