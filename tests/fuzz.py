"""Random mutations of a checkpoint: loading one gives a sound surrogate or a CheckpointError.

``python -m tests.fuzz 100000 0`` tries 100,000 of them from seed 0 and prints what happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
import io
from pathlib import Path
import sys
import tempfile
import threading
from typing import Any
import warnings
import zipfile

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
from optuna.distributions import IntDistribution
import torch

from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas.errors import CheckpointError
from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex
from optuna_tnas.spaces.declared import DeclaredSpace
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.surrogate.joint_past import PastHyperparameters
from optuna_tnas.surrogate.joint_past import SharedScales
from optuna_tnas.surrogate.past import PastStudies
from optuna_tnas.surrogate.unfinished import Agreement


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


@dataclass(frozen=True)
class Archive:
    """A checkpoint as the archive of files that it is."""

    content: bytes

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The contents by name."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def mutated(self, rng: Generator) -> bytes:
        """Spoil one file, and write the archive anew: its checksums are right."""
        names = list(self.files)
        pickled = next(name for name in names if name.endswith("data.pkl"))
        chosen = pickled if rng.random() < 0.7 else names[rng.integers(len(names))]
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w") as new:
            for name, data in self.files.items():
                new.writestr(zipfile.ZipInfo(name), mutated(data, rng) if name == chosen else data)
        return result.getvalue()


_OTHERS = (
    *(None, True, -1, 0, 1, 255, 1 << 16, 1 << 31, 1 << 64, 0.5, -1e300, float("nan"), "", "x"),
    *([], [1, 2], [[0, 1, None]], {}, {"a": 1}, torch.zeros(0), torch.ones(2, 3).double()),
    *(torch.full((2, 2), -1), torch.tensor(float("nan")), torch.zeros(1).expand(1 << 16, 2)),
)


def mutated_data(content: Any, rng: Generator) -> bytes:
    """Put something else in a random place of the plain data, or leave it out; write it well."""
    spoiled = deepcopy(content)
    place = spoiled
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[rng.integers(len(keys))]
        below = place[key]
        if isinstance(below, tuple):
            below = place[key] = list(below)
        if not isinstance(below, dict | list) or len(below) == 0 or rng.random() < 0.1:
            break
        place = below
    if rng.random() < 0.2:
        del place[key]
    else:
        place[key] = _OTHERS[rng.integers(len(_OTHERS))]
    result = io.BytesIO()
    torch.save(spoiled, result)
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
        return " ".join(str(error).partition(str(path))[2].split()[:3])
    finally:
        _loading.now = False
    assert surrogate.summary()["space"]["size"] > 0
    return "sound"


def tiny() -> MetaSurrogate:
    """A surrogate of the least size that has content of every kind."""
    x, y = Condition(0, (0,)), Condition(0, (1,))
    space = DeclaredSpace(
        (Parameter("a", ("x", None)), Parameter("b", (False, 1, 2.5), x, ordered=True)),
        (Vertex("a", (0,), ("x", None)), Vertex("b", (1,), ("p", "q", "none"))),
        (Edge(0, 1), Edge(0, 2, x), Edge(1, 2, y), Edge(1, 3), Edge(2, 3)),
        zero=("none",),
        leaves_to_output=True,
    )
    config = Config(
        architecture_hidden=2,
        architecture_dim=2,
        dataset_width=2,
        dataset_heads=2,
        dataset_dim=2,
        joint_layers=(3, 2),
    )
    surrogate = MetaSurrogate(space, config, n_features=3)
    surrogate.metrics = ("accuracy", None)
    surrogate.warm_starts = (np.array([[0, 1], [1, 0]]), np.array([[0, 2]]))
    surrogate.past = _past()
    surrogate.agreement = Agreement(np.array([0.25, 0.5]), np.array([0.3, 0.9]))
    surrogate.provenance = {"tasks": {"s": 2, "t": 1}, "losses": [0.5, None], "seed": 7}
    return surrogate


def _past() -> PastStudies:
    """Three trials of two studies, of a metric each, with hyper-parameters of each kind."""
    hyperparameters = Hyperparameters(
        {
            "rate": FloatDistribution(1e-4, 0.1, log=True),
            "epochs": IntDistribution(1, 9, step=2),
            "optimizer": CategoricalDistribution(["adam", "sgd"]),
        }
    )
    beside = PastHyperparameters(
        hyperparameters,
        np.array([[0.5, 0.1, 0.0], [0.2, 0.9, np.nan], [0.7, 0.3, 1.0]]),
        SharedScales((0.5, 0.3, 0.2), 0.1, (1.0, 1.0, 0.5, 2.0, 0.1)),
        torch.tensor([0.5, -0.5, 0.1]).double(),
    )
    return PastStudies(
        np.array([[0, 1], [1, 0], [0, 2]]),
        np.array([0, 0, 1]),
        torch.tensor([[0.1, 0.2], [0.3, 0.4]]),
        torch.tensor([[0.5, -0.5, 0.1], [0.4, -0.4, 0.2]]).double(),
        beside,
        (0, 1),
    )


def fuzz(n: int, seed: int, folder: Path) -> Counter[str]:
    """Count the outcomes of ``n`` mutations: of bytes, inside the archive and of its data."""
    path, rng = folder / "meta.pt", np.random.default_rng(seed)
    tiny().save(path)
    archive, data = Archive(path.read_bytes()), torch.load(path, weights_only=True)
    kinds: list[Callable[[], bytes]] = [
        *5 * [lambda: mutated(archive.content, rng)],
        *4 * [lambda: archive.mutated(rng)],
        lambda: mutated_data(data, rng),  # takes the longest: most are loaded to the end
    ]
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of what it reads
        for i in range(n):
            spoiled = kinds[i % len(kinds)]()
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
