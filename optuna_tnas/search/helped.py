"""Which metric of the past studies helps which objective or constraint of a study."""

from __future__ import annotations

from collections.abc import Sequence
import logging

from optuna.logging import get_logger

from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


_logger = get_logger(f"optuna.{__name__}")

_FIRST = (
    "The past studies' objective or the study's have no name, so that the past of %s is taken to "
    "be of the first objective. Name them with study.set_metric_names."
)
_NONE = (
    "The past studies are of %s, which is none of the study's objectives %s: the search starts "
    "without a past. Name the objective they help so with study.set_metric_names."
)
_SOME = "No past study is of the objectives %s, which start without a past."


class HelpedMetrics:
    """Finds the past of each objective and constraint by its name, and says what has none.

    Args:
        surrogate: What past studies taught.
        cheap: Names of objectives that need no past.
    """

    def __init__(self, surrogate: MetaSurrogate, cheap: Sequence[str]) -> None:
        self._metrics, self._has_past = surrogate.metrics, surrogate.past is not None
        self._cheap = cheap
        self._told: set[str] = set()

    def of_objectives(self, names: Sequence[str | None]) -> Sequence[int | None]:
        """Find the past of each objective.

        It is the one of the same name. The first objective may also have the past of objectives
        without a name, and where it has no name itself, that of the first metric. A study with
        one objective has a past of one metric, whatever the names.

        Args:
            names: The objectives' names, all None if they have none.

        Returns:
            Positions in ``surrogate.metrics``; None where no past helps.
        """
        if len(names) == len(self._metrics) == 1:
            return [0]
        if len(names) > 1 and not self._has_past:
            return len(names) * [None]
        known = {name: position for position, name in enumerate(self._metrics)}
        helped = [None if name is None else known.get(name) for name in names]
        if names[0] is None:
            helped[0] = known.get(None, 0)
        elif helped[0] is None:
            helped[0] = known.get(None)
        self._say(names, helped)
        return helped

    def of_constraint(self, name: str) -> int | None:
        """Find the past of a constraint: the one of the same name."""
        return self._metrics.index(name) if name in self._metrics else None

    def _say(self, names: Sequence[str | None], helped: Sequence[int | None]) -> None:
        """Tell what has no past, or has one by its position."""
        pairs = zip(names, helped, strict=True)
        missing = [name for name, past in pairs if past is None and name not in self._cheap]
        first = helped[0]
        if not any(past is not None for past in helped):
            self._tell(logging.WARNING, _NONE, [*self._metrics], [*names])
        elif first is not None and None in (names[0], self._metrics[first]):
            self._tell(logging.INFO, _FIRST, self._metrics[first] or "an objective without a name")
        elif missing:
            self._tell(logging.INFO, _SOME, missing)

    def _tell(self, level: int, message: str, *values: object) -> None:
        """Log something once, if there is a past at all."""
        if self._has_past and message not in self._told:
            self._told.add(message)
            _logger.log(level, message, *values)
