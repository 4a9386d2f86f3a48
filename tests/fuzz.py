"""Random mutations of a checkpoint: loading one gives a sound surrogate or a CheckpointError.

``python -m tests.fuzz 100000 0`` tries 100,000 of them from seed 0 and prints what happened.
"""

from __future__ import annotations

from collections import Counter
import io
from pathlib import Path
import sys
import tempfile
import threading
import warnings
import zipfile

import numpy as np

from optuna_tnas import MetaSurrogate
from optuna_tnas.errors import CheckpointError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node
from tests.small_config import SMALL


Generator = np.random.Generator

# What a pickle may consist of: its opcodes come up more often than by chance.
_OPCODES = b"(.0:1234567890FGIJKLMNPQRSTUVXabcdeghijlopqrstu}])\x80\x81\x85\x86\x87\x88\x89\x8a"

_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")


def mutated(content: bytes, rng: Generator) -> bytes:
    """Change, insert, remove, repeat or exchange a few bytes of a content."""
    spoiled = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        place, n = int(rng.integers(len(spoiled) + 1)), int(rng.integers(1, 9))
        chunk = bytes(spoiled[place : place + n])
        new = [
            bytes([_OPCODES[rng.integers(len(_OPCODES))]]),
            rng.bytes(n),
            b"",
            chunk + chunk,
            bytes(b ^ (1 << int(rng.integers(8))) for b in chunk),
            (int(rng.choice([0, 1, 255, 65535, 1 << 31])) % (1 << 32)).to_bytes(4, "little"),
        ][rng.integers(6)]
        spoiled[place : place + n] = new
    return bytes(spoiled)


def mutated_inside(content: bytes, rng: Generator) -> bytes:
    """Spoil one file of the archive, and write the archive anew: its checksums are right."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w") as new:
        names = old.namelist()
        pickled = next(name for name in names if name.endswith("data.pkl"))
        chosen = pickled if rng.random() < 0.7 else names[rng.integers(len(names))]
        for name in names:
            data = old.read(name)
            new.writestr(name, mutated(data, rng) if name == chosen else data)
    return result.getvalue()


class CodeWasRunError(BaseException):
    """Not an Exception, so that nothing catches it."""


_loading = threading.local()


def _refuse_code(event: str, args: object) -> None:
    """Let no file that is being loaded start a process or reach out."""
    if event in _FORBIDDEN and getattr(_loading, "now", False):
        raise CodeWasRunError(f"{event} {args}")


sys.addaudithook(_refuse_code)


def outcome(path: Path) -> str:
    """Load a file: "sound", or the refusal's first words. Any other error is raised."""
    _loading.now = True
    try:
        surrogate = MetaSurrogate.load(path)
    except CheckpointError as error:
        assert str(path) in str(error)
        return str(error).partition(str(path))[2][:24].strip()
    finally:
        _loading.now = False
    assert surrogate.space.size > 0
    return "sound"


def fuzz(n: int, seed: int, folder: Path) -> Counter[str]:
    """Count the outcomes of ``n`` mutations, half of them inside the archive."""
    path, rng = folder / "meta.pt", np.random.default_rng(seed)
    surrogate = MetaSurrogate(CellSpace([Node("a", ["x", "y"]), Node("b", ["x", "y"])]), SMALL)
    surrogate.save(path)
    content = path.read_bytes()
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of what it reads
        for i in range(n):
            spoiled = (mutated, mutated_inside)[i % 2](content, rng)
            path.write_bytes(spoiled)
            try:
                outcomes[outcome(path)] += 1
            except BaseException:
                (folder / f"crash-{seed}-{i}.pt").write_bytes(spoiled)
                raise
    return outcomes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for text, count in fuzz(int(sys.argv[1]), int(sys.argv[2]), Path(temporary)).most_common():
            print(f"{count:8d} {text}")
