"""What optuna-dashboard shows of a search, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

import numpy as np
from optuna.study import Study
from optuna.study import StudyDirection
from optuna.trial import TrialState


def show_comparison(study: Study, compared: Mapping[str, Study], note: str) -> None:
    """Put a Markdown note and a figure of the incumbents on the study's page.

    Does nothing without optuna-dashboard. The figure is a snapshot.

    Args:
        study: The study whose page it is.
        compared: Studies to draw, by the name in the legend.
        note: Markdown.
    """
    if find_spec("optuna_dashboard") is None or find_spec("plotly") is None:
        return
    from optuna_dashboard import save_note
    from optuna_dashboard import save_plotly_graph_object
    import plotly.graph_objects as go

    figure = go.Figure(
        [
            go.Scatter(y=incumbents(other), x0=1, name=name, line={"dash": dash})
            for (name, other), dash in zip(compared.items(), ("solid", "dot"), strict=False)
        ]
    )
    figure.update_layout(
        title="Best value so far", xaxis_title="trial", yaxis_title="objective value"
    )
    save_note(study, note)
    save_plotly_graph_object(study, figure, graph_object_id="incumbents")


def incumbents(study: Study) -> list[float]:
    """The best value after each completed trial."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = np.minimum if study.direction == StudyDirection.MINIMIZE else np.maximum
    values = np.array([t.value for t in trials], dtype=np.float64)
    return [float(value) for value in best.accumulate(values)]
