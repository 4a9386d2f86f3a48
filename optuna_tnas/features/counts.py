"""Exact sizes of the networks of the spaces in the box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import count_parameters
from optuna_tnas.spaces import Space


class Counts:
    """Parameters and multiply-accumulates as features, for ``TNASSampler(features=...)``.

    Args:
        space: A space whose networks :func:`~optuna_tnas.spaces.count_parameters` knows.
        **network: Its keywords, which describe the network around the searched part.
    """

    def __init__(self, space: Space, **network: Any) -> None:
        self._space, self._network = space, network

    def __call__(self, params: Mapping[str, Any]) -> dict[str, float]:
        """Count those of one architecture.

        Raises:
            SpaceError: If the space is none of these, or a parameter or keyword is impossible.
        """
        return {
            "parameters": float(count_parameters(self._space, params, **self._network)),
            "macs": float(count_macs(self._space, params, **self._network)),
        }
