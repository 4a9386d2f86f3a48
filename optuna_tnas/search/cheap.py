"""Objectives that are functions of an architecture, known without training."""

from __future__ import annotations

from optuna_tnas.errors import ObjectiveError
from optuna_tnas.search.known import KnownFunctions


class CheapObjectives(KnownFunctions):
    """Objectives that are functions of the architecture, by the metric's name.

    Arguments and errors as for :class:`~optuna_tnas.search.known.KnownFunctions`.
    """

    argument = "cheap_objectives"
    kind = "cheap objective"
    example = '{"macs": lambda params: count_macs(space, params)}'
    wanted = "the number that a trial with these parameters reports"
    instead_of_nan = "inf or -inf for what cannot be"
    error = ObjectiveError
