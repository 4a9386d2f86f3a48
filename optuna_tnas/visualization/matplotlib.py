"""The plots of :mod:`optuna_tnas.visualization` with matplotlib, as ``optuna`` has them."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
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
from optuna_tnas.visualization.figures import DEAD
from optuna_tnas.visualization.figures import GRAY
from optuna_tnas.visualization.figures import PALETTE
from optuna_tnas.visualization.figures import short


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_architecture",
    "plot_parallel_architectures",
    "plot_pareto_front",
    "plot_prediction",
    "plot_similarity",
    "plot_sources",
]

_LAYER, _CHARACTER = 0.62, 0.085  # inches


def _axes(width: float, height: float) -> Axes:
    """Make the axes of a new figure of this size, in inches."""
    return _panels(width, height, 1)[0]


def _panels(width: float, height: float, n: int) -> Sequence[Axes]:
    """Make ``n`` axes side by side."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "The plots need matplotlib: pip install 'optuna-tnas[plot]', or pip install "
            "matplotlib. optuna_tnas.visualization has them with plotly."
        ) from error
    figsize = (width, height)
    _, axes = plt.subplots(1, n, squeeze=False, figsize=figsize, layout="constrained")
    return list(axes[0])


# --- one architecture -----------------------------------------------------------------------


def plot_architecture(space: Space, params: Mapping[str, Any]) -> Axes:
    """Draw an architecture; see :func:`optuna_tnas.visualization.plot_architecture`."""
    drawn = Architecture.of(space, params)
    axes = _axes(*_size(drawn))
    _draw(drawn, axes)
    return axes


def architecture_figure(space: Space, params: Mapping[str, Any]) -> Figure:
    """Draw an architecture on a figure that pyplot does not know, for threads and files."""
    from matplotlib.figure import Figure

    drawn = Architecture.of(space, params)
    figure = Figure(figsize=_size(drawn), layout="constrained")
    _draw(drawn, figure.subplots())
    return figure


def _size(drawn: Architecture) -> tuple[float, float]:
    left, right, bottom, top = drawn.layout.bounds
    unit = _CHARACTER * max(len(short(label)) for label in drawn.labels.values()) + 0.35
    return max(2.0, unit * (right - left)), _LAYER * (top - bottom) + 0.2


def _draw(drawn: Architecture, axes: Axes) -> None:
    left, right, bottom, top = drawn.layout.bounds
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.axis("off")
    for (source, target), path in drawn.layout.paths.items():
        alive = drawn.is_alive(source, target)
        style: dict[str, Any] = {
            "color": "#555555" if alive else GRAY,
            "linewidth": 1.2,
            "zorder": 1,
            "linestyle": "-" if alive else ":",
        }
        axes.plot(*zip(*path, strict=True), **style)
        arrow = {**style, "arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 11, "linestyle": "-"}
        axes.annotate("", path[-1], path[-2], arrowprops=arrow)
    for vertex, (x, y) in drawn.layout.places.items():
        _draw_box(axes, drawn, vertex, x, y)


def _draw_box(axes: Axes, drawn: Architecture, vertex: Any, x: float, y: float) -> None:
    alive = drawn.is_alive(vertex)
    color = PALETTE[drawn.colors[vertex] % len(PALETTE)] if alive else DEAD
    box = {"boxstyle": "round,pad=0.35", "facecolor": color}
    box["edgecolor"] = "#555555" if alive else GRAY
    text_color = "black" if alive else "#888888"
    text = short(drawn.labels[vertex])
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color=text_color, bbox=box)


# --- a study --------------------------------------------------------------------------------


def plot_sources(study: Study, sampler: TNASSampler) -> Axes:
    """Plot what the past studies count; see :func:`optuna_tnas.visualization.plot_sources`."""
    sources = Sources.of(study, sampler)
    axes = _axes(7.5, 3.8)
    names = [short(name) for name in sources.shares]
    colors = [GRAY if name == NO_PAST else PALETTE[i] for i, name in enumerate(sources.shares)]
    if len(sources.numbers) > 0:
        axes.stackplot(sources.numbers, *sources.shares.values(), labels=names, colors=colors)
    right = axes.twinx()
    label = "weight of the past's prediction"
    (line,) = right.plot(sources.numbers, sources.past_weight, "k:", label=label)
    axes.set(title="What the past studies count", xlabel="Trial", ylabel="Probability")
    axes.set(ylim=(0, 1))
    right.set_ylabel("Weight")
    areas = axes.get_legend_handles_labels()[0]
    handles = [*areas[::-1], line]
    axes.legend(handles=handles, fontsize=7, loc="center left", bbox_to_anchor=(1.12, 0.5))
    return axes


def plot_prediction(study: Study, sampler: TNASSampler) -> Axes:
    """Plot expected and measured values; see :func:`optuna_tnas.visualization.plot_prediction`."""
    found = Predictions.of(study, sampler)
    axes = _axes(5.2, 4.2)
    style: dict[str, Any] = {"fmt": "none", "ecolor": GRAY, "elinewidth": 0.8, "zorder": 1}
    axes.errorbar(found.mean, found.values, xerr=2 * found.std, **style)
    points = axes.scatter(
        found.mean, found.values, c=found.numbers, cmap="Blues", edgecolors="gray", zorder=2
    )
    if len(found.values) > 0:
        ends = [found.values.min(), found.values.max()]
        axes.plot(ends, ends, "k:", zorder=0)
    axes.set(xlabel="Expected objective value", ylabel="Objective value")
    axes.set_title(found.title.replace(": ", ":\n"), fontsize=10)
    axes.figure.colorbar(points, ax=axes, label="Trial")
    return axes


def plot_pareto_front(study: Study, sampler: TNASSampler) -> Sequence[Axes]:
    """Plot predicted and measured values of two objectives: two axes.

    See :func:`optuna_tnas.visualization.plot_pareto_front`.
    """
    found = Fronts.of(study, sampler)
    left, right = _panels(9.0, 4.0, 2)
    left.scatter(found.random[:, 0], found.random[:, 1], s=3, color=GRAY)
    for panel, values, everything in (
        (left, found.predicted, np.concatenate([found.random, found.predicted])),
        (right, found.values, found.values),
    ):
        panel.plot(*found.front(everything).T, "k:", zorder=1)
        x, y = values.T
        points = panel.scatter(x, y, c=found.numbers, cmap="Blues", edgecolors="gray", zorder=2)
    first, second = found.names
    left.set(xlabel=f"{first} (standard deviations)", ylabel=f"{second} (standard deviations)")
    left.set_title("Predicted by the past", fontsize=10)
    right.set(xlabel=first, ylabel=second)
    right.set_title("Measured", fontsize=10)
    right.figure.colorbar(points, ax=right, label="Trial")
    return left, right


def plot_parallel_architectures(study: Study, space: Space) -> Axes:
    """Plot the trials as lines through the numbers of their operations and their values.

    See :func:`optuna_tnas.visualization.plot_parallel_architectures`.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    found = Operations.of(study, space)
    columns = {"Objective value": found.values, **found.counts}
    axes = _axes(1.6 + 0.9 * len(columns), 3.6)
    if len(found.values) == 0:
        return axes
    cmap = "Blues_r" if study.direction.name == "MINIMIZE" else "Blues"
    colors = ScalarMappable(Normalize(found.values.min(), found.values.max()), cmap)
    scaled = np.array([_scaled(column) for column in columns.values()])
    for number, line in enumerate(scaled.T):
        axes.plot(line, color=colors.to_rgba(found.values[number]), linewidth=1)
    for place, column in enumerate(columns.values()):
        axes.axvline(place, color=GRAY, linewidth=0.8, zorder=0)
        axes.text(place, 1.03, f"{column.max():g}", ha="center", fontsize=7)
        axes.text(place, -0.07, f"{column.min():g}", ha="center", fontsize=7)
    names = [short(name) for name in columns]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set(yticks=[], ylim=(-0.1, 1.1))
    axes.spines[:].set_visible(False)
    axes.set_title("Numbers of operations", fontsize=10)
    axes.figure.colorbar(colors, ax=axes, label="Objective value")
    return axes


def _scaled(column: np.ndarray) -> np.ndarray:
    spread = np.ptp(column)
    return np.asarray((column - column.min()) / (spread if spread > 0 else 1))


# --- data sets ------------------------------------------------------------------------------


def plot_similarity(source: TNASSampler | MetaSurrogate) -> Axes:
    """Plot how alike data sets are; see :func:`optuna_tnas.visualization.plot_similarity`."""
    found = Similarities.of(source)
    side = 2.2 + 0.2 * len(found.columns)
    axes = _axes(side + 0.8, side)
    if len(found.columns) == 0:
        return axes
    image = axes.imshow(found.values, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(found.columns)), map(short, found.columns), rotation=90, fontsize=7)
    axes.set_yticks(range(len(found.rows)), map(short, found.rows), fontsize=7)
    axes.set_title("Similarity of data sets", fontsize=10)
    axes.figure.colorbar(image, ax=axes, fraction=0.05)
    return axes
