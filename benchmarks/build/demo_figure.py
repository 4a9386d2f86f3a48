"""Draw the demo's searches, as in the README.

python -m benchmarks.build.demo_figure --storage sqlite:///optuna-tnas-demo.db --out demo.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optuna

from optuna_tnas.demo.dashboard import incumbents


LINES = {"tnas": ("-", "TNAS"), "random": ("--", "random search")}


def draw(storage: str, out: Path) -> None:
    """Plot the best log loss so far of every search, thin, and each sampler's mean, thick."""
    matplotlib.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=130)
    names = optuna.get_all_study_names(storage)
    for method, (style, label) in LINES.items():
        curves = [
            incumbents(optuna.load_study(study_name=name, storage=storage))
            for name in names
            if name.startswith(f"digits-{method}-")
        ]
        trials = np.arange(1, len(curves[0]) + 1)
        for curve in curves:
            axes.plot(trials, curve, style, color="0.7", linewidth=0.8)
        axes.plot(trials, np.mean(curves, axis=0), style, color="k", linewidth=2, label=label)
    axes.set(xlabel="cells trained", ylabel="best held-out log loss", yscale="log")
    axes.set_title("optuna-tnas demo on scikit-learn's digits: seeds (thin) and their mean")
    axes.legend()
    figure.tight_layout()
    figure.savefig(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", required=True, help="the demo's storage")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    a = parser.parse_args()
    draw(a.storage, a.out)


if __name__ == "__main__":
    main()
