"""Plots of architectures, studies and what was learned, in the form of ``optuna.visualization``.

They are plotly figures; :mod:`optuna_tnas.visualization.matplotlib` has the same with matplotlib.
"""

from optuna_tnas.visualization import matplotlib
from optuna_tnas.visualization.dashboard import DashboardCallback
from optuna_tnas.visualization.figures import plot_architecture
from optuna_tnas.visualization.figures import plot_parallel_architectures
from optuna_tnas.visualization.figures import plot_pareto_front
from optuna_tnas.visualization.figures import plot_prediction
from optuna_tnas.visualization.figures import plot_similarity
from optuna_tnas.visualization.figures import plot_sources


__all__ = [
    "DashboardCallback",
    "matplotlib",
    "plot_architecture",
    "plot_parallel_architectures",
    "plot_pareto_front",
    "plot_prediction",
    "plot_similarity",
    "plot_sources",
]
