from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch

from benchmarks.live import blackbox
from benchmarks.live import experiment
from benchmarks.live import past
from benchmarks.live import trainings
from benchmarks.live.blackbox import SPACE
from benchmarks.live.experiment import ANEW
from benchmarks.live.experiment import Search
from benchmarks.live.parts import Part
from benchmarks.live.parts import Parts
from benchmarks.live.store import Record
from benchmarks.live.store import Store
from benchmarks.live.trainings import Trainings
from benchmarks.peers import Setting
from tests.benchmarks.live.tiny import parts
from tests.benchmarks.live.tiny import RECIPE


def setting(dataset: str, seed: int, cache: Path) -> Setting:
    return Setting(SPACE, (), seed, cache)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Use few images, few random cells and a short search."""
    monkeypatch.setattr(trainings, "parts_of", lambda name, recipe: parts())
    monkeypatch.setattr(experiment, "setting_of", setting)
    monkeypatch.setattr(experiment, "RECIPE", RECIPE)
    monkeypatch.setattr(experiment, "N_REFERENCE", 5)
    monkeypatch.setattr(experiment, "UNITS", 4)
    monkeypatch.setattr(experiment.workers, "pool", lambda jobs: ThreadPoolExecutor(1))


def searches(folder: Path) -> list[Search]:
    lengths = {"random": None, "gp": None, "gdas": 2}
    return [Search("tiny", method, 0, epochs, folder) for method, epochs in lengths.items()]


def run(folder: Path) -> list[Record]:
    experiment.run(searches(folder), folder, 1)
    return Store(folder).records()


def without_times(record: Record) -> Record:
    """Leave out what depends on the machine."""
    timed = ("cpu_seconds", "wall_seconds", "unit", "meta_cpu_seconds", "steps")
    return {name: value for name, value in record.items() if name not in timed}


def test_found_cells_are_trained_anew(tmp_path: Path):
    records = run(tmp_path)
    found = [r for r in records if r["kind"] == "search"]
    assert sorted(r["method"] for r in found) == ["gdas", "gp", "random"]
    anew = {(tuple(r["cell"]), r["seed"]) for r in records if r.get("seed") in ANEW}
    for record in found:
        for cell in experiment.found_cells(record):
            assert {(trainings.pruned(cell), seed) for seed in ANEW} <= anew


def test_a_killed_run_goes_on_and_ends_with_the_same_records(tmp_path: Path, monkeypatch):
    whole = run(tmp_path / "whole")
    make, n = trainings.train, 0

    def dying(*args):
        nonlocal n
        n += 1
        if n == 3:
            raise KeyboardInterrupt
        return make(*args)

    with monkeypatch.context() as patched:
        patched.setattr(trainings, "train", dying)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed")
    before = {str(r) for r in Store(tmp_path / "killed").records()}
    assert len(before) >= 2
    after = run(tmp_path / "killed")
    assert before <= {str(r) for r in after}
    ours, theirs = (
        [without_times(r) for r in records if r.get("method") == "gdas"]
        for records in (whole, after)
    )
    assert ours == theirs


def test_test_images_change_no_search(tmp_path: Path, monkeypatch):
    def noisy() -> Parts:
        whole = parts()
        return replace(whole, test=Part(torch.randn_like(whole.test.x), whole.test.y))

    found = {}
    for name, images in (("real", parts), ("noise", noisy)):
        monkeypatch.setattr(trainings, "parts_of", lambda name, recipe, images=images: images())
        data = Trainings("tiny", RECIPE, Store(tmp_path / name))
        steps = blackbox.search(optuna.samplers.TPESampler(seed=0), data, 0, 1e9)
        found[name] = [(s.cell, s.trained) for s, _ in zip(steps, range(14), strict=False)]
    for (cell, a), (other, b) in zip(found["real"], found["noise"], strict=True):
        assert cell == other
        assert a.validation_loss == b.validation_loss
    assert any(a.test_loss != b.test_loss for (_, a), (_, b) in zip(*found.values(), strict=True))


def test_the_clock_stops_a_search(tmp_path: Path):
    data = Trainings("tiny", RECIPE, Store(tmp_path))
    sampler = optuna.samplers.RandomSampler(seed=0)
    steps = [*blackbox.search(sampler, data, 0, cpu_seconds=0.3)]
    charged = sum(step.trained.cpu_seconds for step in steps)
    assert steps[-1].cpu_seconds >= 0.3
    assert all(step.cpu_seconds < 0.3 for step in steps[:-1])
    assert steps[-1].cpu_seconds >= charged


def test_the_random_cells_are_different_networks(monkeypatch):
    monkeypatch.setattr(experiment, "N_REFERENCE", 60)
    cells = experiment.reference()
    assert len(cells) == len(set(cells)) == 60
    assert cells == experiment.reference()


def test_the_past_has_no_images_of_the_target(monkeypatch, tmp_path: Path):
    history = past.history()
    target = history.tasks[0].name
    leaks = {target: "it has the same name", history.tasks[1].name: "some of its images"}
    stored = type("Stored", (), {"images": None})
    monkeypatch.setattr(past, "load_images", lambda name: stored)
    monkeypatch.setattr(past, "overlapping", lambda history, name, images: leaks)
    monkeypatch.setattr(past, "sample_of", lambda name: None)
    found = past.setting_of(target, 0, tmp_path)
    names = {study.study_name for study in found.history}
    assert names == {task.name for task in history.tasks} - leaks.keys()
    assert names == found.samples.keys()
    task = history.tasks[2]
    study = next(s for s in found.history if s.study_name == task.name)
    assert study.best_value == task.y.max()
