"""Plots as plotly figures, in the form of ``optuna.visualization``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
from optuna.study import Study

from optuna_tnas.sampler import TNASSampler
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.visualization.data import Architecture
from optuna_tnas.visualization.data import Fronts
from optuna_tnas.visualization.data import NO_PAST
from optuna_tnas.visualization.data import Operations
from optuna_tnas.visualization.data import Predictions
from optuna_tnas.visualization.data import Similarities
from optuna_tnas.visualization.data import Sources


if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from plotly.graph_objects import Scatter

# Fill colors of operations, light enough for black text.
PALETTE = (
    *("#9ecae1", "#fdae6b", "#a1d99b", "#bcbddc", "#fc9272", "#fee391"),
    *("#c7e9c0", "#d4b9da", "#80cdc1", "#dfc27d", "#fbb4ae", "#b3cde3"),
)
DEAD, GRAY = "#f4f4f4", "#b8b8b8"
MAX_LABEL = 28  # characters

_LAYER = 62  # pixels from layer to layer
_CHARACTER = 7.0  # pixels


def _plotly() -> Any:
    try:
        import plotly.graph_objects
    except ImportError as error:
        raise ImportError(
            "The plots need plotly: pip install 'optuna-tnas[plot]', or pip install plotly. "
            "optuna_tnas.visualization.matplotlib has them without it."
        ) from error
    return plotly.graph_objects


def short(label: str) -> str:
    """Cut a label that is too long to be drawn."""
    return label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"


# --- one architecture -----------------------------------------------------------------------


def plot_architecture(space: Space, params: Mapping[str, Any]) -> Figure:
    """Draw an architecture's operations from the input down to the output.

    Operations that the network's result does not depend on are gray: zero operations, and what
    only they read or are read by.

    Args:
        space: The space.
        params: A trial's parameters; what is none of the space's is ignored.

    Raises:
        SpaceError: If the parameters are none of the space's.
        ImportError: If plotly is not installed.
    """
    go = _plotly()
    drawn = Architecture.of(space, params)
    unit = _CHARACTER * max(len(short(label)) for label in drawn.labels.values()) + 24
    left, right, bottom, top = drawn.layout.bounds
    figure = go.Figure([_edges(drawn, alive) for alive in (False, True)])
    for arrow in _arrows(drawn):
        figure.add_annotation(arrow)
    for box in _boxes(drawn):
        figure.add_annotation(box)
    margin = {"l": 10, "r": 10, "t": 40, "b": 10}
    figure.update_layout(
        title="Architecture",
        width=max(320, unit * (right - left) + 20),
        height=_LAYER * (top - bottom) + 50,
        margin=margin,
        showlegend=False,
        plot_bgcolor="white",
        xaxis={"visible": False, "range": [left, right]},
        yaxis={"visible": False, "range": [bottom, top]},
    )
    return figure


def _edges(drawn: Architecture, alive: bool) -> Scatter:
    """Draw the edges that count, or those that do not, as one line with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    for (source, target), path in drawn.layout.paths.items():
        if drawn.is_alive(source, target) == alive:
            x += [*(point[0] for point in path), None]
            y += [*(point[1] for point in path), None]
    line = {"color": "#555555" if alive else GRAY, "width": 1.5, "dash": None if alive else "dot"}
    return _plotly().Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip")


def _arrows(drawn: Architecture) -> list[dict[str, Any]]:
    """Put a head on the end of each edge."""
    arrows = []
    for (source, target), path in drawn.layout.paths.items():
        (ax, ay), (x, y) = path[-2:]
        color = "#555555" if drawn.is_alive(source, target) else GRAY
        place = {"x": x, "y": y, "ax": ax, "ay": ay, "axref": "x", "ayref": "y"}
        head = {"showarrow": True, "arrowhead": 2, "arrowwidth": 1.5, "arrowcolor": color}
        arrows.append({**place, **head, "standoff": 13, "text": ""})
    return arrows


def _boxes(drawn: Architecture) -> list[dict[str, Any]]:
    boxes = []
    for vertex, (x, y) in drawn.layout.places.items():
        alive = drawn.is_alive(vertex)
        color = PALETTE[drawn.colors[vertex] % len(PALETTE)] if alive else DEAD
        boxes.append(
            {
                "x": x,
                "y": y,
                "text": short(drawn.labels[vertex]),
                "showarrow": False,
                "bgcolor": color,
                "borderpad": 4,
                "bordercolor": "#555555" if alive else GRAY,
                "font": {"color": "black" if alive else "#888888", "size": 12},
                "hovertext": f"{vertex}: {drawn.labels[vertex]}",
            }
        )
    return boxes


# --- a study --------------------------------------------------------------------------------


def plot_sources(study: Study, sampler: TNASSampler) -> Figure:
    """Plot how much each past study counts over a study's trials.

    Each trial's weights are those before it; of more than 30 completed trials, 30 are shown.

    Args:
        study: The study.
        sampler: A sampler with past studies.

    Raises:
        StudyError: If the study is none of the sampler's space, or has several objectives.
        ImportError: If plotly is not installed.
    """
    go = _plotly()
    sources = Sources.of(study, sampler)
    figure = go.Figure()
    for name, share in sources.shares.items():
        color = GRAY if name == NO_PAST else None
        line = {"width": 0.5, "color": color}
        figure.add_scatter(
            x=sources.numbers, y=share, name=short(name), stackgroup="all", line=line
        )
    figure.add_scatter(
        x=sources.numbers,
        y=sources.past_weight,
        name="weight of the past's prediction",
        yaxis="y2",
        line={"color": "black", "dash": "dot"},
    )
    right = {"title": "Weight", "side": "right", "rangemode": "tozero", "showgrid": False}
    figure.update_layout(
        title="What the past studies count",
        xaxis_title="Trial",
        yaxis={"title": "Probability", "range": [0, 1]},
        yaxis2={**right, "overlaying": "y"},
        legend={"x": 1.12},
    )
    return figure


def plot_prediction(study: Study, sampler: TNASSampler) -> Figure:
    """Plot each trial's objective value against what was expected before the trial.

    That was written with the trial, or is computed from the trials that ended before it; then
    every trial takes a fit. Bars are two standard deviations long, without a trial's noise.

    Args:
        study: The study.
        sampler: A sampler of its space.

    Raises:
        StudyError: If the study is none of the sampler's space, or has several objectives.
        ImportError: If plotly is not installed.
    """
    go = _plotly()
    found = Predictions.of(study, sampler)
    marker = {"color": found.numbers, "colorbar": {"title": "Trial"}, "colorscale": "Blues"}
    points = go.Scatter(
        x=found.mean,
        y=found.values,
        error_x={"array": 2 * found.std, "thickness": 0.8, "color": GRAY},
        mode="markers",
        marker={**marker, "line": {"width": 0.5, "color": "gray"}},
        text=[f"trial {number}" for number in found.numbers],
    )
    ends = [found.values.min(), found.values.max()] if len(found.values) else []
    diagonal = go.Scatter(x=ends, y=ends, mode="lines", line={"color": "black", "dash": "dot"})
    figure = go.Figure([diagonal, points])
    figure.update_layout(
        title=found.title,
        xaxis_title="Expected objective value",
        yaxis_title="Objective value",
        showlegend=False,
    )
    return figure


def plot_pareto_front(study: Study, sampler: TNASSampler) -> Figure:
    """Plot what the past predicts of two objectives beside what trials measured.

    On the left the predictions before the first trial, of the trials and of random architectures,
    on the right the measured values; lines join the points that no other is better than.

    Args:
        study: A study with two objectives.
        sampler: A sampler of its space.

    Raises:
        StudyError: If the study has not two objectives, or is none of the sampler's space.
        ImportError: If plotly is not installed.
    """
    go, found = _plotly(), Fronts.of(study, sampler)
    figure = go.Figure()
    drawn = found.random.T
    figure.add_scatter(x=drawn[0], y=drawn[1], mode="markers", marker={"color": GRAY, "size": 3})
    text = [f"trial {number}" for number in found.numbers]
    for axes, values, everything in (
        ("", found.predicted, np.concatenate([found.random, found.predicted])),
        ("2", found.values, found.values),
    ):
        place = {"xaxis": f"x{axes}", "yaxis": f"y{axes}"}
        front = found.front(everything)
        line = {"color": "black", "dash": "dot"}
        figure.add_scatter(x=front[:, 0], y=front[:, 1], mode="lines", line=line, **place)
        marker = {"color": found.numbers, "colorscale": "Blues", "showscale": axes == "2"}
        marker |= {"colorbar": {"title": "Trial"}, "line": {"width": 0.5, "color": "gray"}}
        points = {"x": values[:, 0], "y": values[:, 1], "text": text}
        figure.add_scatter(**points, mode="markers", marker=marker, **place)
    first, second = found.names
    figure.update_layout(
        title="Predicted by the past, and measured",
        xaxis={"domain": [0, 0.46], "title": f"{first}, predicted (standard deviations)"},
        yaxis={"title": f"{second}, predicted (standard deviations)"},
        xaxis2={"domain": [0.56, 1], "title": first},
        yaxis2={"anchor": "x2", "title": second},
        showlegend=False,
    )
    return figure


def plot_parallel_architectures(study: Study, space: Space) -> Figure:
    """Plot the trials as lines through the numbers of their operations and their values.

    Operations that the result does not depend on are not counted, and those that all networks
    have equally many of are left out, as are all but the 20 that differ most.

    Args:
        study: The study.
        space: Its space.

    Raises:
        ImportError: If plotly is not installed.
    """
    go = _plotly()
    found = Operations.of(study, space)
    target = {"label": "Objective value", "values": found.values}
    counts = [{"label": short(name), "values": count} for name, count in found.counts.items()]
    line = {"color": found.values, "colorscale": "Blues", "showscale": True}
    line["reversescale"] = study.direction.name == "MINIMIZE"
    figure = go.Figure(go.Parcoords(dimensions=[target, *counts], line=line, labelangle=20))
    figure.update_layout(title="Numbers of operations", margin={"t": 110})
    return figure


# --- data sets ------------------------------------------------------------------------------


def plot_similarity(source: TNASSampler | MetaSurrogate) -> Figure:
    """Plot how alike the data sets of the past studies, and the one searched on, are.

    To the deep kernel: the correlation of an architecture on a row's data set with the same one
    on a column's, averaged over the column's trials.

    Args:
        source: A sampler, or what was meta-learned alone.

    Raises:
        ImportError: If plotly is not installed.
    """
    go = _plotly()
    found = Similarities.of(source)
    rows, columns = ([short(name) for name in names] for names in (found.rows, found.columns))
    heatmap = go.Heatmap(z=found.values, x=columns, y=rows, colorscale="Blues", zmin=0, zmax=1)
    figure = go.Figure(heatmap)
    side = 260 + 18 * len(columns)
    figure.update_layout(
        title="Similarity of data sets",
        width=side + 60,
        height=side,
        yaxis={"autorange": "reversed", "dtick": 1},
        xaxis={"dtick": 1},
    )
    return figure
