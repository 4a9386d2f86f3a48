"""Parameters as columns of numbers, for a kernel with a relevance of each parameter."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.joint import JointSpace


class ParameterColumns:
    """Maps rows of a joint space to columns whose squared differences add up by parameter.

    A number is a column, as is a choice among numbers; of other choices each one is a column, so
    that different ones are at a squared distance of 1. What a trial does not have counts as the
    middle of a range, and as none of the choices.

    Args:
        space: The joint space.

    Attributes:
        owners: The parameter that each column belongs to.
    """

    def __init__(self, space: JointSpace) -> None:
        of_space = [0 if ordered(p) else len(p.choices) for p in space.space.parameters]
        self._n_choices = [*of_space, *space.hyperparameters.n_choices.tolist()]
        self.owners = tuple(i for i, n in enumerate(self._n_choices) for _ in range(max(n, 1)))
        spans = [max(len(p.choices) - 1, 1) for p in space.space.parameters]
        self._spans = [*spans, *np.ones(len(space.hyperparameters)).tolist()]

    def __call__(self, rows: np.ndarray) -> Tensor:
        """``n`` rows -> ``n x C`` float64."""
        columns = [self._columns(rows[:, i], i) for i in range(rows.shape[1])]
        return torch.from_numpy(np.concatenate(columns, axis=1))

    def _columns(self, values: np.ndarray, parameter: int) -> np.ndarray:
        n = self._n_choices[parameter]
        if n == 0:
            return np.nan_to_num(values / self._spans[parameter], nan=0.5)[:, None]
        return np.asarray((values[:, None] == np.arange(n)) / 2**0.5)


def ordered(parameter: Parameter) -> bool:
    """Tell whether the choices have an order, as numbers that ascend do."""
    numbers = [c for c in parameter.choices if isinstance(c, int | float)]
    ascending = len(numbers) == len(parameter.choices) and numbers == sorted(numbers)
    return parameter.ordered or ascending


def differences(columns: Tensor, owners: tuple[int, ...]) -> Tensor:
    """Square the differences in each parameter: ``n x C`` -> ``D x n x n``."""
    squared = (columns.unsqueeze(1) - columns).square().permute(2, 0, 1)
    sums = columns.new_zeros(max(owners, default=-1) + 1, len(columns), len(columns))
    return sums.index_add(0, torch.tensor(owners, dtype=torch.long), squared)
