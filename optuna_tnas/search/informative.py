"""How many and which trials a suggestion regards."""

from __future__ import annotations

import numpy as np

from optuna_tnas.spaces.rows import best


# Running trials that a suggestion is scored jointly with, the latest ones. Time and memory grow
# with the square of their number, and trials that died may be RUNNING for ever.
MAX_PENDING = 32
_MAX_TRIALS, _N_CORE, _STEP = 256, 192, 64  # see :func:`informative`


def informative(merit: np.ndarray) -> np.ndarray:
    """Choose the trials that the GP is conditioned on, so that its cost stays bounded.

    All of up to 256. Of more, the best 96 and the 96 latest of the first ``k`` trials, ``k``
    growing in steps of 64, and the up to 64 trials since: so that from one suggestion to the
    next little changes.

    Args:
        merit: ``n`` values, higher is better.

    Returns:
        Positions in the order in which the GP is to see them.
    """
    n = len(merit)
    if n <= _MAX_TRIALS:
        return np.arange(n)
    n_old = (n - 1) // _STEP * _STEP
    highest = best(np.arange(n_old), merit[:n_old], _N_CORE // 2)
    latest = np.setdiff1d(np.arange(n_old), highest)[-_N_CORE // 2 :]
    return np.concatenate([np.sort(np.concatenate([highest, latest])), np.arange(n_old, n)])
