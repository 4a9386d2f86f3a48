"""Plotly figures: what they show is what the data say, and they survive JSON."""

from __future__ import annotations

from collections.abc import Callable
import json
import sys
from typing import Any

import numpy as np
import optuna
from optuna.study import Study
import pytest

from optuna_tnas import TNASSampler
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import SomeOf
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.cell import Node
from optuna_tnas.visualization import plot_architecture
from optuna_tnas.visualization import plot_parallel_architectures
from optuna_tnas.visualization import plot_pareto_front
from optuna_tnas.visualization import plot_prediction
from optuna_tnas.visualization import plot_similarity
from optuna_tnas.visualization import plot_sources


pytest.importorskip("plotly")

PLOTS: dict[str, Callable[..., Any]] = {
    "sources": lambda study, sampler: plot_sources(study, sampler),
    "prediction": lambda study, sampler: plot_prediction(study, sampler),
    "parallel": lambda study, sampler: plot_parallel_architectures(study, sampler.space),
    "similarity": lambda study, sampler: plot_similarity(sampler),
}
each_plot = pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS.keys())


@each_plot
@pytest.mark.parametrize("which", ["study", "foreign", "empty"])
def test_figures_are_made_of_any_study(
    plot: Callable[..., Any], which: str, sampler: TNASSampler, request: pytest.FixtureRequest
) -> None:
    figure = plot(request.getfixturevalue(which), sampler)
    assert figure.layout.title.text
    json.loads(figure.to_json())


def test_each_operation_has_a_box_and_each_edge_an_arrow() -> None:
    space = NASBench201Space()
    params = space.decode(np.array([0, 1, 2, 3, 4, 3]))  # with one zero operation
    figure = plot_architecture(space, params)
    texts = [a.text for a in figure.layout.annotations if a.text]
    graph = space.to_graph(params)
    assert sorted(texts) == sorted(op for _, op in graph.nodes(data="op"))
    assert sum(bool(a.showarrow) for a in figure.layout.annotations) == len(graph.edges)
    gray = {a.text for a in figure.layout.annotations if a.bgcolor == "#f4f4f4"}
    assert "none" in gray and "input" not in gray


def test_thirty_operations_fit_their_boxes() -> None:
    names = [f"n{i}" for i in range(30)]
    reading = [SomeOf(min(2, i), *names[:i]) for i in range(1, 30)]
    later = [Node(n, ["conv", "pool"], [r]) for n, r in zip(names[1:], reading, strict=True)]
    nodes = [Node(names[0], ["conv"]), *later]
    space = CellSpace(nodes)
    figure = plot_architecture(space, space.decode(space.sample(1, np.random.default_rng(0))[0]))
    (left, right), width = figure.layout.xaxis.range, figure.layout.width
    pixels = (width - 20) / (right - left)
    assert pixels >= 7 * len("output")
    assert sum(bool(a.text) for a in figure.layout.annotations) == 32


def test_long_labels_are_cut() -> None:
    space = CellSpace([Node("a", ["x" * 100, "y"])])
    figure = plot_architecture(space, {"op_a": "x" * 100})
    assert max(len(a.text) for a in figure.layout.annotations) == 28
    assert any("x" * 100 in (a.hovertext or "") for a in figure.layout.annotations)


def test_values_and_what_was_expected_are_plotted(study: Study, sampler: TNASSampler) -> None:
    diagonal, points = plot_prediction(study, sampler).data
    expected = {
        t.value: t.user_attrs["tnas:mean"] for t in study.trials if "tnas:mean" in t.user_attrs
    }
    assert dict(zip(points.y, points.x, strict=True)) == expected
    assert tuple(diagonal.x) == tuple(diagonal.y)


def test_predicted_and_measured_fronts_are_side_by_side(
    two_objectives: Study, knowing_both: TNASSampler
) -> None:
    figure = plot_pareto_front(two_objectives, knowing_both)
    *_, line, points = figure.data
    assert [*zip(points.x, points.y, strict=True)] == [
        tuple(t.values) for t in two_objectives.trials
    ]
    best = {tuple(t.values) for t in two_objectives.best_trials}
    assert {*zip(line.x, line.y, strict=True)} == best
    assert points.xaxis == "x2" and figure.layout.xaxis2.title.text == "accuracy"
    json.loads(figure.to_json())


def test_the_better_the_darker(study: Study, cells: Space) -> None:
    assert not plot_parallel_architectures(study, cells).data[0].line.reversescale
    down = optuna.create_study(direction="minimize")
    down.add_trials(study.trials)
    assert plot_parallel_architectures(down, cells).data[0].line.reversescale


def test_without_plotly_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, sampler: TNASSampler
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match=r"optuna-tnas\[plot\]"):
        plot_similarity(sampler)
