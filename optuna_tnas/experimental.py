"""Warn of what may change from one version to the next, as Optuna does."""

from __future__ import annotations

import warnings

from optuna.exceptions import ExperimentalWarning


def warn_experimental(what: str) -> None:
    """Issue Optuna's ``ExperimentalWarning`` in the name of the caller's caller.

    Args:
        what: An argument or a function, such as ``"Argument `x`"``.
    """
    warnings.warn(
        f"{what} is an experimental feature of optuna-tnas. Its interface may change in a newer "
        "version.",
        ExperimentalWarning,
        stacklevel=3,
    )
