"""Runs that can be continued, but only with the settings they were begun with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna_tnas.errors import StudyError


def check_settings(
    where: str, found: Mapping[str, Any], settings: Mapping[str, Any], remedy: str
) -> None:
    """Refuse to continue a run with other settings.

    Args:
        where: What holds the earlier run, for the message.
        found: The earlier run's settings by name; a name that is missing is not compared.
        settings: This run's settings by name, as JSON gives them back.
        remedy: What to do instead, for the message.

    Raises:
        StudyError: If a setting differs; the text names it and both values.
    """
    for name, value in settings.items():
        if found.get(name, value) != value:
            raise StudyError(
                f"{where} was made with another {name}, {found[name]} instead of {value}; "
                f"{remedy}."
            )
