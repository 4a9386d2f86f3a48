"""Regret and mean rank over the evaluations: a panel for each family and one over all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from matplotlib.ticker import NullFormatter
import numpy as np

from benchmarks.report.results import Results
from benchmarks.report.statistics import interval
from benchmarks.report.statistics import known_mean
from benchmarks.report.statistics import LEVEL
from benchmarks.report.statistics import ranks
from benchmarks.report.tables import counted


MOST = 8  # methods in a figure, if none are chosen
COLUMNS = 3
MARKS = 6  # on a line
LABELS = {"regret": "normalized regret", "rank": "mean rank, 1 is the best"}
BAND = f"its {LEVEL:.0%} interval"  # after ours in the legend

Lines = dict[str, dict[str, Any]]  # each method's

# Told apart by line and marker; the colors, Okabe and Ito's, only help.
OURS = {"color": "black", "linestyle": "-", "linewidth": 2.2, "zorder": 3}
RIVALS = [
    {"color": color, "linestyle": line, "marker": marker, "markersize": 4.5, "linewidth": 1.3}
    for color, line, marker in [
        ("#0072B2", "--", "o"),
        ("#D55E00", "-.", "s"),
        ("#009E73", ":", "^"),
        ("#CC79A7", (0, (5, 1)), "v"),
        ("#E69F00", (0, (3, 1, 1, 1)), "D"),
        ("#56B4E9", (0, (1, 1)), "x"),
        ("#555555", (0, (8, 2, 2, 2)), "P"),
    ]
]


def draw(groups: Sequence[Results], ours: str, chosen: Sequence[str], folder: Path) -> None:
    """Write ``regret.png`` and ``rank.png``; if there are several pasts, with their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for results in groups:
        name = "" if len(groups) == 1 else f"-{results.past}"
        lines = _lines(chosen or best(results, ours), ours)
        for kind in ("regret", "rank"):
            figure = _figure(results, kind, lines, ours)
            figure.savefig(folder / f"{kind}{name}.png")


def best(results: Results, ours: str) -> list[str]:
    """Choose ours, then those that rank best in the first scope that they are in."""
    order = [ours]
    for targets in results.scopes.values():
        part = results.on(targets)
        rank = known_mean(part.mean(ranks(part.regret)), axis=1)
        order += [part.methods[m] for m in np.argsort(rank, kind="stable")]
    return list(dict.fromkeys(order))[:MOST]


def _lines(methods: Sequence[str], ours: str) -> Lines:
    styles = cycle(RIVALS)
    return {method: OURS if method == ours else next(styles) for method in methods}


def _figure(results: Results, kind: str, lines: Lines, ours: str) -> Figure:
    scopes = results.scopes
    columns = min(COLUMNS, len(scopes))
    rows = ceil(len(scopes) / columns)
    figure = Figure((max(4.2 * columns, 7), 3.2 * rows + 0.9), dpi=130, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    named: dict[str, Artist] = {}
    for axis, (name, targets) in zip(axes, scopes.items(), strict=False):
        _panel(axis, results.on(targets), kind, lines, ours)
        axis.set_title(f"{name}, {counted(len(targets), 'task')}", fontsize=10)
        named |= {str(artist.get_label()): artist for artist in axis.collections + axis.lines}
    for axis in axes[len(scopes) :]:
        axis.set_visible(False)
    labels = [ours, BAND, *(method for method in lines if method != ours)]
    shown = [named[label] for label in labels if label in named]
    figure.legend(handles=shown, loc="outside lower center", ncols=columns + 2, handlelength=4)
    return figure


def _panel(axis: Axes, part: Results, kind: str, lines: Lines, ours: str) -> None:
    """Plot the methods that searched on all targets of the panel."""
    x = part.regret if kind == "regret" else ranks(part.regret)
    means = dict(zip(part.methods, part.mean(x), strict=True))
    evaluations = np.arange(1, x.shape[-1] + 1)
    apart = max(1, len(evaluations) // MARKS)
    for i, (method, style) in enumerate(lines.items()):
        if method in means:
            marks = (i * apart // len(lines), apart)
            axis.plot(evaluations, means[method], label=method, markevery=marks, **style)
    if ours in lines and ours in means:
        low, high = interval(x[part.methods.index(ours)], part.weights)
        axis.fill_between(evaluations, low, high, label=BAND, color="0.85", zorder=0)
    axis.set(xlabel="evaluations", ylabel=LABELS[kind])
    axis.grid(alpha=0.3)
    if kind == "regret":
        _logarithmic(axis)


def _logarithmic(axis: Axes) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
