"""Draw losses over time and ranks over image sets and budgets."""

from __future__ import annotations

from itertools import cycle
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from matplotlib.ticker import NullFormatter
import numpy as np

from benchmarks.live.report import OURS
from benchmarks.live.report import shared_regrets
from benchmarks.live.results import BUDGETS
from benchmarks.live.results import Results
from benchmarks.live.rivals import EPOCHS
from benchmarks.live.rivals import ONE_SHOT
from benchmarks.report.curves import Lines
from benchmarks.report.curves import OURS as OUR_STYLE
from benchmarks.report.curves import RIVALS
from benchmarks.report.statistics import ranks


_COLUMNS = 3
_TIMES = np.geomspace(2, max(BUDGETS), 100)  # units
_MARKS = ("o", "s", "^", "D")


def draw(results: Results, folder: Path) -> None:
    """Write ``live_loss.png`` and ``live_rank.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    losses(results).savefig(folder / "live_loss.png")
    rank_figure(results).savefig(folder / "live_rank.png")


def losses(results: Results) -> Figure:
    """Plot the test log loss of the best cell over CPU time: a panel for each image set.

    A one-shot search has a cell only at its end, so that it is a mark.
    """
    datasets = list(dict.fromkeys(dataset for dataset, _ in results.pairs))
    styles, rows = _styles(results), ceil(len(datasets) / _COLUMNS)
    figure = Figure((12.6, 3.2 * rows + 0.9), dpi=130, layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis, dataset in zip(axes, datasets, strict=False):
        _panel(axis, results, dataset, styles)
    for axis in axes[len(datasets) :]:
        axis.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, handlelength=4)
    return figure


def _styles(results: Results) -> Lines:
    """Give black-box methods lines, and one-shot methods hollow black marks."""
    methods = [m for m in results.methods_at(max(BUDGETS)) if ":" not in m]
    lines, marks = cycle(RIVALS), cycle(_MARKS)
    hollow = {"color": "black", "markerfacecolor": "white", "linestyle": "", "markersize": 7}
    styles: Lines = {}
    for method in methods:
        if method in ONE_SHOT:
            styles[method] = {**hollow, "marker": next(marks)}
        else:
            styles[method] = OUR_STYLE if method == OURS else next(lines)
    return styles


def _panel(axis: Axes, results: Results, dataset: str, styles: Lines) -> None:
    seeds = [pair for pair in results.pairs if pair[0] == dataset]
    for method, style in styles.items():
        if method in ONE_SHOT:
            times, values = _marks(results, seeds, method)
            axis.plot(times, values, label=method, **style)
        else:
            curves = [results.curves[pair][method] for pair in seeds]
            cells = [[curve.at(t).cell for t in _TIMES] for curve in curves]
            values = np.mean([[results.loss(dataset, c) for c in row] for row in cells], axis=0)
            axis.plot(_TIMES, values, label=method, markevery=20, **style)
    axis.set(xscale="log", yscale="log", title=dataset)
    axis.set(xlabel="CPU time, trainings of a random cell", ylabel="test log loss, trained anew")
    axis.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
    axis.grid(alpha=0.3)


def _marks(
    results: Results, seeds: list[tuple[str, int]], method: str
) -> tuple[list[float], list[float]]:
    """Average units and test losses of a one-shot method at each budget."""
    times, values = [], []
    for budget in EPOCHS[method]:
        found = [results.outcomes[pair].get((method, budget)) for pair in seeds]
        there = [(pair, o) for pair, o in zip(seeds, found, strict=True) if o is not None]
        if there:
            times.append(float(np.mean([o.units for _, o in there])))
            values.append(float(np.mean([results.loss(pair[0], o.cell) for pair, o in there])))
    return times, values


def rank_figure(results: Results) -> Figure:
    """Plot each method's rank at each budget: a row of points, one for each image set."""
    methods, regret = shared_regrets(results)
    rank = ranks(regret)[:, :, 0]  # methods x image sets x budgets
    order = np.argsort(rank.mean(axis=(1, 2)), kind="stable")
    figure = Figure((7.5, 0.45 * len(methods) + 1.3), dpi=130, layout="constrained")
    axis = figure.subplots()
    for row, m in enumerate(order):
        for b, marker in zip(range(rank.shape[2]), _MARKS, strict=False):
            height = row + 0.22 * (b - (rank.shape[2] - 1) / 2)
            points = rank[m, :, b]
            axis.plot(points, np.full(len(points), height), marker, color="0.4", alpha=0.5, ms=4)
        axis.plot([rank[m].mean()] * 2, [row - 0.35, row + 0.35], color="black", linewidth=2)
    axis.set_yticks(range(len(methods)), [methods[m] for m in order])
    axis.invert_yaxis()
    axis.set_xlabel("rank by regret; a point is an image set at a budget, the bar their mean")
    axis.grid(alpha=0.3, axis="x")
    return figure
