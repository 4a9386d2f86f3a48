"""The file of outcomes: what is kept, continued and refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optuna_tnas.config import Config
from optuna_tnas.errors import HistoryError
from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.evaluation import leave_one_out
from optuna_tnas.evaluation.leave_one_out import Evaluation
from optuna_tnas.evaluation.replay import Outcome
from optuna_tnas.spaces import Space
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task


@pytest.fixture
def history(space: Space, task_of: Callable[..., Task]) -> MetaDataset:
    return MetaDataset(space, tuple(task_of(seed, n=12) for seed in range(3)))


@pytest.fixture(autouse=True)
def small_networks(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(config, outer_steps=1, inner_steps=1)
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: small))


def evaluation(history: MetaDataset, path: Path, n_trials: int = 3) -> Evaluation:
    return Evaluation(history, path, preset="default", n_trials=n_trials, seeds=range(2))


def test_an_interrupted_evaluation_is_completed_as_if_nothing_had_happened(
    history: MetaDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluation(history, tmp_path / "whole.jsonl")
    whole.run()
    assert whole.n_missing == 0
    assert [(o.seed, o.target) for o in whole.outcomes] == [
        (seed, task.name) for seed in range(2) for task in history.tasks
    ]

    path = tmp_path / "cut.jsonl"
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    path.write_text(lines[3] + lines[0] + lines[1][:40])  # the last line was cut off
    begun = evaluation(history, path)
    assert begun.n_missing == 4
    begun.run()
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_several_objectives_together_come_beside_each_by_itself(
    history: MetaDataset, tmp_path: Path
) -> None:
    tasks = [replace(t, metric="accuracy") for t in history.tasks]
    latency = [replace(t, metric="latency", y=-(t.y**2)) for t in tasks[:2]]
    both = replace(history, tasks=(tasks[0], latency[0], tasks[1], latency[1], tasks[2]))
    path = tmp_path / "e.jsonl"
    done = evaluation(both, path)
    done.run()
    labels = [f"task {i}: {metric}" for i in range(2) for metric in ("accuracy", "latency")]
    assert [o.target for o in done.outcomes if o.seed == 0] == [*labels, "task 2"]
    assert [(o.seed, o.target) for o in done.fronts] == [
        (seed, name) for seed in range(2) for name in ("task 0", "task 1")
    ]
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    begun = evaluation(both, path)
    assert begun.n_missing == 1
    assert begun.fronts == done.fronts[:-1]
    begun.run()
    assert path.read_text() == whole


def test_what_was_finished_is_there_after_ctrl_c(
    history: MetaDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = evaluation(history, tmp_path / "e.jsonl")
    leave_out, calls = leave_one_out.leave_out, count(1)

    def twice(*arguments: Any, **options: Any) -> Outcome:
        if next(calls) > 2:
            raise KeyboardInterrupt
        return leave_out(*arguments, **options)

    monkeypatch.setattr(leave_one_out, "leave_out", twice)
    with pytest.raises(KeyboardInterrupt):
        interrupted.run()
    assert interrupted.n_missing == 4
    assert evaluation(history, tmp_path / "e.jsonl").outcomes == interrupted.outcomes


def test_another_evaluations_file_is_refused_and_kept(
    history: MetaDataset, tmp_path: Path
) -> None:
    path = tmp_path / "e.jsonl"
    evaluation(history, path).run()
    kept = path.read_text()
    first = history.tasks[0]
    other = replace(history, tasks=(replace(first, y=first.y + 1), *history.tasks[1:]))
    for make in (lambda: evaluation(other, path), lambda: evaluation(history, path, n_trials=2)):
        with pytest.raises(OptunaTNASError, match="give another --out"):
            make()
    assert path.read_text() == kept

    path.write_text("notes of mine\n")
    with pytest.raises(OptunaTNASError, match="it is not an evaluation"):
        evaluation(history, path)
    assert path.read_text() == "notes of mine\n"


def test_a_file_with_the_correlations_old_name_is_continued(
    history: MetaDataset, tmp_path: Path
) -> None:
    path = tmp_path / "e.jsonl"
    done = evaluation(history, path)
    done.run()
    now = path.read_text()
    path.write_text(now.replace('"rank_correlation":', '"prediction":'))
    again = evaluation(history, path)
    assert again.n_missing == 0
    assert again.outcomes == done.outcomes
    again.run()
    assert path.read_text() == now


@pytest.mark.parametrize(
    "content", ["[1, 2]\n", '{"settings": {}}\n', '{"settings": 3, "x": 1}\n']
)
def test_lines_that_are_no_outcomes_are_refused(
    history: MetaDataset, tmp_path: Path, content: str
) -> None:
    (tmp_path / "e.jsonl").write_text(content)
    with pytest.raises(OptunaTNASError, match="it is not an evaluation"):
        evaluation(history, tmp_path / "e.jsonl")


def test_one_study_is_not_enough(history: MetaDataset, tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="at least two"):
        evaluation(replace(history, tasks=history.tasks[:1]), tmp_path / "e.jsonl")


def test_processes_find_the_same(history: MetaDataset, tmp_path: Path) -> None:
    """They have the presets as they are, so the history is tiny."""
    tiny = replace(
        history, tasks=tuple(replace(t, X=t.X[:4], y=t.y[:4]) for t in history.tasks[:2])
    )
    found = []
    for jobs in (1, 2):
        done = evaluation(tiny, tmp_path / f"{jobs}.jsonl", n_trials=1)
        done.run(jobs)
        found.append([(o.seed, o.target, o.trials["random"]) for o in done.outcomes])
    assert found[0] == found[1]
    assert np.isfinite([trials for *_, trials in found[0]]).all()
