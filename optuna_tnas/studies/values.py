"""The values of a study's trials, and what its objectives are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna.study import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from optuna_tnas.studies.observations import Metric


# Where Optuna keeps ``study.metric_names``, which a study under Hyperband does not show.
_METRIC_NAMES = "study:metric_names"


def sign_of(study: Study) -> float:
    """Return the factor that makes higher values better: 1 or -1."""
    return float(signs_of(study)[0])


def signs_of(study: Study) -> np.ndarray:
    """Return the factors that make higher values of each objective better: ``M``."""
    return np.array([-1.0 if d == StudyDirection.MINIMIZE else 1.0 for d in study.directions])


def values(study: Study, completed: Sequence[FrozenTrial]) -> np.ndarray:
    """Return the values of ``n`` completed trials, signed so that higher is better: ``n``."""
    return sign_of(study) * np.array([trial.value for trial in completed], dtype=np.float64)


def metrics_of(study: Study) -> list[Metric]:
    """Describe the study's objectives."""
    attributes = study._storage.get_study_system_attrs(study._study_id)
    names: Sequence[str | None] = attributes.get(_METRIC_NAMES) or len(study.directions) * [None]
    return [Metric(*both) for both in zip(names, signs_of(study).tolist(), strict=True)]


def all_values(completed: Sequence[FrozenTrial], metrics: Sequence[Metric]) -> np.ndarray:
    """Return the values of ``n`` completed trials, signed so that higher is better: ``n x M``."""
    signs = np.array([metric.sign for metric in metrics])
    return signs * np.array([t.values for t in completed], dtype=np.float64).reshape(
        -1, len(signs)
    )
