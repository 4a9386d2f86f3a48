from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
import pytest
import torch

from benchmarks.build.collect_cells import cells
from benchmarks.build.collect_cells import collect
from benchmarks.build.collect_cells import main
from benchmarks.build.load_images import load_images
from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.demo.cell_training import train_and_evaluate
from optuna_tnas.spaces import NASBench201Space
from tests.sqlite import is_made


ROOT = Path(__file__).parents[3]
SPACE = NASBench201Space()
TINY = Recipe(width=4, resolution=8, epochs=1, batch_size=16)
SCRIPT = """
from itertools import count
import sys
import time
import optuna
from benchmarks.build.collect_cells import collect
from optuna_tnas.demo.cell_training import Recipe
if __name__ == "__main__":
    if "halt" in sys.argv:  # before the fourth trial, so that the kill hits in the middle
        add, calls = optuna.Study.add_trial, count()
        optuna.Study.add_trial = lambda *a: time.sleep(600) if next(calls) > 2 else add(*a)
    recipe = Recipe(width=4, resolution=8, epochs=1, batch_size=16)
    collect({storage!r}, ["red", "blue"], 12, 8, 1, 2, 0, recipe)
"""


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new database; ``OPTUNA_TNAS_DATA`` holds the image sets "red" and "blue"."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in ("red", "blue"):
        np.savez(
            tmp_path / "images" / f"{name}.npz",
            images=rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8),
            labels=np.arange(60) % 3,
            split=(np.arange(60) >= 40).astype(np.uint8),
            source=f"{name} noise",
            licence="CC0",
        )
    monkeypatch.setenv("OPTUNA_TNAS_DATA", str(tmp_path))
    return f"sqlite:///{tmp_path}/history.db"


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A thread in place of worker processes, which take seconds to start."""
    monkeypatch.setattr("benchmarks.workers.pool", lambda _: ThreadPoolExecutor(1))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def trials(storage: str, name: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name=name, storage=storage).trials


def rows(found: list[FrozenTrial]) -> list[tuple[int, ...]]:
    return [tuple(SPACE.encode(t.params).tolist()) for t in found]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300  # only against hanging: a first import can take a minute
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def n_complete(storage: str, name: str) -> int:
    """0 too while the database or the study is not there yet."""
    if not is_made(storage) or name not in optuna.get_all_study_names(storage):
        return 0
    return len(trials(storage, name))


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def runs(pid: int) -> bool:
    """Whether the process is there and not merely a zombie."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_first_cells_are_shared_and_no_two_of_a_set_compute_the_same() -> None:
    red, blue = cells("red", 40, 30, 0), cells("blue", 40, 30, 0)

    assert red[:30] == blue[:30]
    assert not set(red[30:]) & set(blue[30:])
    for drawn in (red, blue):
        graphs = SPACE.to_graphs(np.array(drawn)).pruned()
        assert len(graphs.unique()[0]) == len(drawn) == 40
    assert cells("red", 40, 30, 0) == red
    assert cells("red", 40, 30, 1) != red


def test_more_cells_continue_fewer_cells() -> None:
    assert cells("red", 60, 30, 0)[:40] == cells("red", 40, 30, 0)
    assert cells("red", 5, 30, 0) == cells("red", 40, 30, 0)[:5]


@pytest.mark.usefixtures("in_process")
def test_studies_hold_the_cells_with_losses_and_attributes(storage: str) -> None:
    collect(storage, ["red", "blue"], 3, 2, 0, 1, 0, TINY)

    for name in ("red", "blue"):
        study = optuna.load_study(study_name=name, storage=storage)
        assert study.direction == optuna.study.StudyDirection.MINIMIZE
        assert study.user_attrs["recipe"]["epochs"] == 1
        assert study.user_attrs["source"] == f"{name} noise"
        assert study.user_attrs["licence"] == "CC0"
        assert rows(study.trials) == cells(name, 3, 2, 0)
        for trial in study.trials:
            assert trial.distributions == SPACE.distributions()
            assert 0 < trial.values[0] < 17
            assert 0 <= trial.user_attrs["accuracy"] <= 1
            assert trial.user_attrs["seconds"] > 0
            assert trial.user_attrs["n_parameters"] > 0


@pytest.mark.usefixtures("in_process")
def test_the_last_cells_are_trained_with_a_second_seed(storage: str) -> None:
    collect(storage, ["red"], 3, 2, 1, 1, 0, TINY)

    study = optuna.load_study(study_name="red", storage=storage)
    assert rows(study.trials) == cells("red", 3, 2, 0)
    assert ["second_log_loss" in t.user_attrs for t in study.trials] == [False, False, True]
    last = study.trials[-1]
    data = load_images("red")
    ops = [*last.params.values()]
    for seed, value in ((0, last.value), (1, last.user_attrs["second_log_loss"])):
        result = train_and_evaluate(ops, data.images, data.labels, data.split, TINY, seed)
        assert result.log_loss == value
    assert last.value != last.user_attrs["second_log_loss"]


def test_a_killed_collection_is_completed_without_loss_or_repeat(storage: str) -> None:
    script = Path(storage.removeprefix("sqlite:///")).with_name("run.py")
    script.write_text(SCRIPT.format(storage=storage))
    command = [sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, "halt"], env=environment)
    wait_for(lambda: n_complete(storage, "red") == 3)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = rows(trials(storage, "red")) + rows(trials(storage, "blue"))
    assert len(before) == 3
    wait_for(lambda: not any(runs(pid) for pid in workers))

    subprocess.run(command, env=environment, check=True)

    for name in ("red", "blue"):
        found = trials(storage, name)
        assert {t.state for t in found} == {TrialState.COMPLETE}
        assert rows(found) == cells(name, 12, 8, 0)


@pytest.mark.usefixtures("in_process")
def test_a_cell_that_another_process_left_running_is_trained(storage: str) -> None:
    study = optuna.create_study(storage=storage, study_name="red")
    study.enqueue_trial(SPACE.decode(np.array(cells("red", 1, 1, 0)[0])))
    SPACE.suggest(study.ask())

    collect(storage, ["red"], 2, 2, 0, 1, 0, TINY)

    found = [t for t in trials(storage, "red") if t.state == TrialState.COMPLETE]
    assert rows(found) == cells("red", 2, 2, 0)


@pytest.mark.usefixtures("in_process")
def test_losses_of_two_recipes_are_not_mixed(storage: str) -> None:
    collect(storage, ["red"], 1, 1, 0, 1, 0, TINY)

    with pytest.raises(SystemExit, match="give another --storage"):
        collect(storage, ["red"], 2, 1, 0, 1, 0, Recipe())


def test_what_is_missing_is_said_plainly(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["collect", "--storage", storage, "--datasets", "green"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match="this folder has: blue, red"):
        main()

    monkeypatch.delenv("OPTUNA_TNAS_DATA")
    with pytest.raises(SystemExit, match="Set OPTUNA_TNAS_DATA"):
        main()
