"""The same plots with matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from io import BytesIO
import sys
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from optuna.study import Study
import pytest

from optuna_tnas import TNASSampler
from optuna_tnas import visualization
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.visualization import matplotlib as twins


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Draw without a display, and close what was drawn."""
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


def test_there_is_a_twin_of_every_plot() -> None:
    plots = [name for name in visualization.__all__ if name.startswith("plot_")]
    assert sorted(twins.__all__) == sorted(plots)


@pytest.mark.parametrize("which", ["study", "foreign", "empty"])
@pytest.mark.parametrize(
    "plot",
    [
        twins.plot_sources,
        twins.plot_prediction,
        lambda study, sampler: twins.plot_parallel_architectures(study, sampler.space),
        lambda study, sampler: twins.plot_similarity(sampler),
    ],
    ids=["sources", "prediction", "parallel", "similarity"],
)
def test_plots_are_made_of_any_study(
    plot: Callable[..., Any], which: str, sampler: TNASSampler, request: pytest.FixtureRequest
) -> None:
    axes = plot(request.getfixturevalue(which), sampler)
    content = BytesIO()
    axes.figure.savefig(content, format="png")
    assert len(content.getvalue()) > 1000


def test_each_operation_is_drawn() -> None:
    space = NASBench201Space()
    params = space.decode(np.array([0, 1, 2, 3, 4, 3]))
    axes = twins.plot_architecture(space, params)
    texts = sorted(text.get_text() for text in axes.texts if text.get_text())
    assert texts == sorted(op for _, op in space.to_graph(params).nodes(data="op"))


def test_predictions_are_where_plotly_has_them(study: Study, sampler: TNASSampler) -> None:
    axes = twins.plot_prediction(study, sampler)
    offsets = np.asarray(axes.collections[-1].get_offsets())
    points = visualization.plot_prediction(study, sampler).data[1]
    np.testing.assert_allclose(offsets, np.stack([points.x, points.y], axis=1))


def test_fronts_are_where_plotly_has_them(
    two_objectives: Study, knowing_both: TNASSampler
) -> None:
    figure = visualization.plot_pareto_front(two_objectives, knowing_both)
    drawn = twins.plot_pareto_front(two_objectives, knowing_both)
    for axes, points in zip(drawn, (figure.data[2], figure.data[4]), strict=True):
        offsets = np.asarray(axes.collections[-1].get_offsets())
        np.testing.assert_allclose(offsets, np.stack([points.x, points.y], axis=1))
    content = BytesIO()
    drawn[0].figure.savefig(content, format="png")


def test_drawings_for_files_are_none_of_pyplots() -> None:
    space = NASBench201Space()
    twins.architecture_figure(space, space.decode(np.array([1, 1, 1, 1, 1, 1])))
    assert plt.get_fignums() == []


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, sampler: TNASSampler
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"optuna-tnas\[plot\]"):
        twins.plot_similarity(sampler)
