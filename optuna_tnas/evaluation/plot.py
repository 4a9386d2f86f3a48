"""Plot of an evaluation; needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
import numpy as np

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.evaluation.replay import METHODS
from optuna_tnas.evaluation.summary import Summary


if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", ":")


def draw(summary: Summary, path: str | Path) -> None:
    """Plot the mean regret over the trials, and how well each study predicts each other one.

    Args:
        summary: The figures.
        path: File to write; its suffix gives the format.

    Raises:
        OptunaTNASError: If the plot cannot be written.
    """
    side = 2.5 + 0.28 * len(summary.sources)
    figure = Figure(figsize=(5.5 + side, max(4.0, side)), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[5, side])
    _draw_regret(left, summary)
    _draw_sources(figure, right, summary)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:  # matplotlib's ValueError names the formats it knows
        raise OptunaTNASError(f"The plot {path} cannot be written: {error}.") from error


def _draw_regret(axes: Axes, summary: Summary) -> None:
    for method, style in zip(METHODS, _STYLES, strict=True):
        regret = summary.mean_regret(method)
        axes.plot(range(1, len(regret) + 1), regret, style, color="k", label=method)
    axes.set(xlabel="trials", ylabel="normalized regret", ylim=(0, None))
    axes.set_title(f"Regret, mean of {len(summary.targets)} studies")
    axes.legend()


def _draw_sources(figure: Figure, axes: Axes, summary: Summary) -> None:
    """Draw a row for each source, the most helpful first; a study is no source of its own."""
    sources = [source.name for source in summary.sources]
    targets = [target.name for target in summary.targets]
    agreement = np.array(
        [[t.sources.get(name, np.nan) for t in summary.targets] for name in sources]
    )
    image = axes.imshow(agreement, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(len(targets)), targets, rotation=90, fontsize=8)
    axes.set_yticks(range(len(sources)), sources, fontsize=8)
    for (row, column), value in np.ndenumerate(agreement):
        if np.isfinite(value):
            color = "w" if abs(value) > 0.6 else "k"
            text = f"{value:.1f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=6)
    axes.set(xlabel="study searched", ylabel="study learned from")
    axes.set_title("Rank correlation of prediction and value")
    figure.colorbar(image, ax=axes, fraction=0.05)
