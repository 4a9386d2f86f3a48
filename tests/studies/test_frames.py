"""Tables of runs against the studies that they are exports of."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from optuna_tnas import MetaDataset
from optuna_tnas.errors import HistoryError
from optuna_tnas.spaces import DeclaredSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import Vertex


CHOICES: tuple[tuple[Any, ...], ...] = (
    ("conv", "pool", "3"),
    (1, 3, 5),
    (0.5, 1.0),
    (False, True),
    (None, "se", 2),
)
NAMES = ("op", "kernel", "width", "skip", "attention")


def mixed_space() -> Space:
    """Choices of every type."""
    parameters = [Parameter(n, c) for n, c in zip(NAMES, CHOICES, strict=True)]
    vertices = [
        Vertex(n, (i,), tuple(map(str, c)))
        for i, (n, c) in enumerate(zip(NAMES, CHOICES, strict=True))
    ]
    return DeclaredSpace(tuple(parameters), tuple(vertices), (), leaves_to_output=True)


SPACE = mixed_space()


def study_of(space: Space, n: int = 12, direction: str = "maximize") -> optuna.Study:
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0), direction=direction, study_name="s"
    )
    study.optimize(lambda t: float(space.encode(space.suggest(t)).sum()), n_trials=n)
    return study


def frame_of(study: optuna.Study, group: str, value: str = "val_acc") -> pd.DataFrame:
    rows = [{group + k: v for k, v in t.params.items()} | {value: t.value} for t in study.trials]
    return pd.DataFrame(rows)


def read(frame: pd.DataFrame, space: Space = SPACE, value: str = "val_acc") -> MetaDataset:
    return MetaDataset.from_frames({"s": frame}, space, value=value, direction="maximize")


def assert_same(found: MetaDataset, study: optuna.Study, space: Space) -> None:
    expected = MetaDataset.from_studies([study], space)
    assert found.fingerprint == expected.fingerprint
    assert found.left_out == {}


@pytest.mark.parametrize("space", [SPACE, NASBench201Space(), MobileNetV3Space()])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_optunas_own_export_is_the_study(space: Space, direction: Any) -> None:
    study = study_of(space, direction=direction)
    found = MetaDataset.from_frames(
        {"s": study.trials_dataframe()}, space, value="value", direction=direction
    )
    assert_same(found, study, space)


@pytest.mark.parametrize(
    "group", ["", "config.", "config/", "params.", "params/", "config/train_loop_config/", "a:b."]
)
@pytest.mark.parametrize(
    "through",
    [
        lambda frame: frame,
        lambda frame: frame.astype(object),
        lambda frame: frame.astype(str),
        lambda frame: frame.convert_dtypes(),
        lambda frame: pd.read_csv(StringIO(frame.to_csv(index=False))),
        lambda frame: pd.read_csv(
            StringIO(frame.to_csv(index=False)), keep_default_na=False, dtype=str
        ),
    ],
    ids=["plain", "objects", "text", "nullable", "csv", "csv as text"],
)
def test_groups_and_types_do_not_matter(
    group: str, through: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    study = study_of(SPACE)
    assert_same(read(through(frame_of(study, group))), study, SPACE)


def test_numbers_of_a_column_with_gaps_are_whole_again() -> None:
    frame = pd.DataFrame({"n": [1.0, 3.0, float("nan"), 5.0], "y": [0.1, 0.2, 0.3, 0.4]})
    space = DeclaredSpace(
        (Parameter("n", (1, 3, 5)),), (Vertex("v", (0,), ("1", "3", "5")),), (),
        leaves_to_output=True,
    )  # fmt: skip
    found = read(frame, space, "y")
    assert found.tasks[0].X.tolist() == [[0], [1], [2]]
    assert found.left_out == {"rows whose parameters are not the space's": 1}


def test_the_group_with_the_most_parameters_counts() -> None:
    study = study_of(SPACE)
    frame = frame_of(study, "config.")
    frame["summary.op"] = "else"
    frame["my_op"] = "else"  # another name
    assert_same(read(frame), study, SPACE)


@pytest.mark.parametrize("name", ["metrics.val_acc", "summary/val_acc", "val_acc"])
def test_the_value_may_have_a_group_of_its_own(name: str) -> None:
    study = study_of(SPACE)
    assert_same(read(frame_of(study, "params.", name)), study, SPACE)


@pytest.mark.parametrize(
    ("column", "states"),
    [
        ("State", ["finished", "crashed", "running"]),
        ("status", ["FINISHED", "FAILED", "KILLED"]),
        ("state", ["COMPLETE", "PRUNED", "FAIL"]),
    ],
)
def test_unusable_rows_are_counted_by_reason(column: str, states: list[str]) -> None:
    frame = frame_of(study_of(SPACE), "config.")
    frame[column] = [states[0]] * 9 + [states[1], states[2], states[2]]
    frame.loc[0, "val_acc"] = float("nan")
    frame.loc[1, "config.op"] = "unknown"
    frame["config.op"] = frame["config.op"].astype(object)
    frame.loc[2, "config.op"] = None
    found = read(frame)
    assert found.n_trials == 6
    assert found.left_out == {
        "rows without a value": 1,
        "rows whose parameters are not the space's": 2,
        f"rows that are {states[1].lower()}": 1,
        f"rows that are {states[2].lower()}": 2,
    }


def test_several_frames_are_several_tasks_and_small_ones_are_left_out() -> None:
    frame = frame_of(study_of(SPACE), "")
    frames = {"one": frame, "two": frame.iloc[:5], "three": frame.iloc[:1]}
    found = MetaDataset.from_frames(frames, SPACE, value="val_acc", direction="minimize")
    assert [(task.name, len(task.y)) for task in found.tasks] == [("one", 12), ("two", 5)]
    assert found.left_out == {"frames with fewer than two usable rows": 1}
    assert np.array_equal(found.tasks[0].y, -frame["val_acc"])


def broken(change: Callable[[pd.DataFrame], Any]) -> Any:
    return change(frame_of(study_of(SPACE), "config."))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="val_acc"), r"'s' needs one column 'val_acc'.*'config.op'"),
        (
            lambda f: f.rename(columns={"val_acc": "a.val_acc"}).assign(**{"b.val_acc": 1}),
            r"has several, \['a.val_acc', 'b.val_acc'\]",
        ),
        (lambda f: f[["val_acc"]], r"no column for any of the parameters \['op'.*names="),
        (
            lambda f: f.assign(**{c[7:]: f[c] for c in f if c.startswith("config.")}),
            r"twice, as '.*op' and '.*op'; drop",
        ),
        (lambda f: f.iloc[:0], r"1 frames with fewer than two usable rows"),
        (lambda f: f.to_dict("list"), r"'s' is a dict; give a pandas.DataFrame"),
        (lambda f: [1, 2], r"'s' is a list"),
        (lambda f: pd.concat([f, f], axis=1), r"two columns 'config.attention'|two columns"),
    ],
)
def test_bad_frames_are_named(change: Callable[[pd.DataFrame], Any], message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        read(broken(change))


def test_other_bad_input_is_refused() -> None:
    frame = frame_of(study_of(SPACE), "")
    with pytest.raises(HistoryError, match=r"frames is a list; give a mapping"):
        MetaDataset.from_frames([frame], SPACE, value="val_acc", direction="maximize")  # type: ignore[arg-type]
    with pytest.raises(HistoryError, match=r"direction cannot be 'max'.*minimize"):
        MetaDataset.from_frames({"s": frame}, SPACE, value="val_acc", direction="max")  # type: ignore[arg-type]
