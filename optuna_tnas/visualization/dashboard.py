"""A study's page in optuna-dashboard, kept up to date while the search goes on."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from itertools import compress
from pathlib import Path
import random
import tempfile
from threading import Lock
import time
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
from optuna.artifacts import upload_artifact
from optuna.logging import get_logger
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.markdown import table
from optuna_tnas.sampler import TNASSampler
from optuna_tnas.search.explanation import REASON
from optuna_tnas.studies.choices import encoded
from optuna_tnas.studies.fronts import non_dominated
from optuna_tnas.studies.values import all_values
from optuna_tnas.studies.values import metrics_of
from optuna_tnas.studies.values import sign_of
from optuna_tnas.visualization import figures
from optuna_tnas.visualization.matplotlib import architecture_figure


if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore
    from plotly.graph_objects import Figure

_logger = get_logger(f"optuna.{__name__}")

_NEEDED = ("optuna_dashboard", "plotly", "matplotlib")
_HEADING = "## Search with optuna-tnas"
_MAX_WRITES = 10  # of one text or figure, if others write it at the same time
_MAX_SOURCES = 5  # past studies in the note
_MAX_FRONT = 10  # trials of the front in the note
_PLOT = "dashboard:plot_data:"  # where optuna-dashboard keeps the parts of figures


class DashboardCallback:
    """Shows in optuna-dashboard what a search does and why: a note, figures and drawings.

    Pass it to ``study.optimize(callbacks=[...])`` in each worker; it needs the extra
    ``optuna-tnas[dashboard]``. A trial that was the best when it ended has its network drawn, as
    an artifact of the study. Every few trials one of the workers renews the note and the figures.
    A user's note is kept above. What fails here is logged, and the search goes on. With several
    objectives the drawings and the note are of the trials on the front, and there are no figures.

    Args:
        sampler: The study's sampler.
        artifact_store: Takes the drawings, the folder that the dashboard is started with as
            ``--artifact-dir``; without one there are none.
        every: Number of trials from one renewal to the next.

    Raises:
        OptunaTNASError: If ``every`` is less than 1.
        ImportError: If optuna-dashboard, plotly or matplotlib is not installed.
    """

    def __init__(
        self, sampler: TNASSampler, artifact_store: ArtifactStore | None = None, every: int = 10
    ) -> None:
        if every < 1:
            raise OptunaTNASError(f"every cannot be {every!r}; give a number of trials from 1 on.")
        _check_installed()
        self._sampler, self._store, self._every = sampler, artifact_store, every
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = Lock()

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Draw the trial's network if it is the best so far, and renew the page if it is time."""
        try:
            if self._store is not None and self._is_best(study, trial):
                self._upload(study, trial, self._store)
            if (trial.number + 1) % self._every == 0:
                self.renew(study)
        except Exception:
            _logger.warning(
                "The dashboard's page of the study %r could not be renewed after trial %d; the "
                "search goes on.",
                *(study.study_name, trial.number),
                exc_info=True,
            )

    def renew(self, study: Study) -> None:
        """Write the note and the figures, for example at the end of a search.

        Raises:
            StudyError: If the study is none of the sampler's space.
        """
        with self._lock:
            _write(partial(self._save_note, study))
            for name, figure in self._figures(study).items():
                _write(partial(_save_figure, study, name, figure))

    # --- drawings of networks ---------------------------------------------------------------

    def _is_best(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether the trial was the best feasible one, or on the front, when it ended."""
        if not self._counts(trial):
            return False
        assert trial.datetime_complete is not None
        before = [
            other
            for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if other.number != trial.number
            and self._counts(other)
            and other.datetime_complete is not None
            and other.datetime_complete <= trial.datetime_complete
        ]
        if len(study.directions) > 1:
            return trial in _front(study, [*before, trial])
        sign = sign_of(study)
        return all(sign * _value(trial) > sign * _value(other) for other in before)

    def _counts(self, trial: FrozenTrial) -> bool:
        complete = trial.state == TrialState.COMPLETE
        feasible = all(value <= 0 for value in trial.constraints.values())
        return complete and feasible and encoded(trial.params, self._sampler.space) is not None

    def _upload(self, study: Study, trial: FrozenTrial, store: ArtifactStore) -> None:
        """Keep the drawing with the study: Optuna lets nobody change a trial that has ended."""
        figure = architecture_figure(self._sampler.space, trial.params)
        with tempfile.TemporaryDirectory() as folder:
            what = "front" if len(study.directions) > 1 else "best"
            path = Path(folder) / f"{what}-of-trial-{trial.number}.png"
            figure.savefig(path, dpi=110)
            upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=study)

    # --- note and figures -------------------------------------------------------------------

    def _best(self, study: Study) -> FrozenTrial | None:
        found = [t for t in study.get_trials(deepcopy=False) if self._counts(t)]
        sign = sign_of(study)
        return max(found, key=lambda trial: sign * _value(trial), default=None)

    def _figures(self, study: Study) -> Mapping[str, Figure]:
        if len(study.directions) > 1:
            return {}
        best, sampler = self._best(study), self._sampler
        if best is None:
            return {}
        drawing = figures.plot_architecture(sampler.space, best.params)
        drawing.update_layout(title=f"Best network, of trial {best.number}")
        shown = {
            "tnas-best": drawing,
            "tnas-prediction": figures.plot_prediction(study, sampler),
            "tnas-operations": figures.plot_parallel_architectures(study, sampler.space),
        }
        if sampler.surrogate.past_names:
            shown["tnas-sources"] = figures.plot_sources(study, sampler)
        return shown

    def _save_note(self, study: Study) -> bool:
        from optuna_dashboard import get_note
        from optuna_dashboard import save_note

        above = get_note(study).partition(_HEADING)[0].rstrip()
        note = f"{above}\n\n{self._note(study)}".lstrip()
        save_note(study, note)
        return get_note(study) == note

    def _note(self, study: Study) -> str:
        intro = [_HEADING, "Renewed during the search; what is written above stays."]
        several = len(study.directions) > 1
        return "\n\n".join(intro + (self._of_front if several else self._of_best)(study))

    def _of_front(self, study: Study) -> list[str]:
        """Write down the trials that no other is better than, sorted by the first objective."""
        trials = study.get_trials(deepcopy=False)
        front = _front(study, [trial for trial in trials if self._counts(trial)])
        if not front:
            return []
        names = study.metric_names or [f"objective {j}" for j in range(len(study.directions))]
        front.sort(key=lambda trial: trial.values)
        shown = [
            front[i] for i in np.unique(np.linspace(0, len(front) - 1, _MAX_FRONT, dtype=int))
        ]
        rows = [(f"{t.number}", *(f"{value:.6g}" for value in t.values)) for t in shown]
        what = f"{len(front)} of {len(trials)} trials are on the front"
        more = f", {len(shown)} of them:" if len(shown) < len(front) else ":"
        return [what + more, table(["trial", *names], rows)]

    def _of_best(self, study: Study) -> list[str]:
        """Write down the best trial and the past studies that count most."""
        best, parts = self._best(study), list[str]()
        if best is not None:
            parts.append(f"Best of {len(study.get_trials(deepcopy=False))} trials:")
            parts.append(table(["", f"trial {best.number}"], _facts(best)))
        sources = self._sampler.source_weights(study)
        most = sorted(sources, key=sources.__getitem__, reverse=True)[:_MAX_SOURCES]
        if sources:
            rows = [(name, f"{sources[name]:.1%}") for name in most]
            parts.append("What the past studies count for the next trial:")
            nothing = ("*the past says nothing*", f"{1 - sum(sources.values()):.1%}")
            parts.append(table(["past study", "weight"], [*rows, nothing]))
        return parts


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"DashboardCallback needs {missing[0]}: pip install 'optuna-tnas[dashboard]'."
        )


def _front(study: Study, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Select the trials that no other of them is better than, all objectives together."""
    Y = all_values(trials, metrics_of(study))
    return [*compress(trials, non_dominated(Y))]


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _facts(trial: FrozenTrial) -> list[tuple[str, object]]:
    reason = trial.user_attrs.get(REASON)
    known = [] if reason is None else [("chosen by", reason)]
    return [("value", f"{trial.value:.6g}"), *known, *trial.params.items()]


def _write(save: Callable[[], bool]) -> None:
    """Write until what is there is what was written.

    The dashboard keeps a text or a figure in parts. If two workers write it at the same time, the
    parts mix; whoever ends last finds that, and writes again.
    """
    for attempt in range(_MAX_WRITES):
        if save():
            return
        time.sleep(random.uniform(0, 0.1 * (attempt + 1)))


def _save_figure(study: Study, name: str, figure: Figure) -> bool:
    from optuna_dashboard import save_plotly_graph_object

    figure.update_layout(template=None)  # it would be most of what is written
    save_plotly_graph_object(study, figure, graph_object_id=name)
    attributes = study._storage.get_study_system_attrs(study._study_id)
    key = f"{_PLOT}{name}:"
    parts = {k.removeprefix(key): v for k, v in attributes.items() if k.startswith(key)}
    written = "".join(parts.get(str(i), "") for i in range(len(parts)))
    return bool(written == figure.to_json())
