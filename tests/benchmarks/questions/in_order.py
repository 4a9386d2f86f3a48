"""A small space, and a sampler that tries all of it."""

from __future__ import annotations

from optuna.samplers import GridSampler

from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces.cell import Node


SPACE = CellSpace([Node("a", ["u", "v", "w", "x"]), Node("b", ["u", "v"], ["a"])])


class InOrder(GridSampler):
    """All architectures, in the order in which the space lists them."""

    def __init__(self) -> None:
        choices = {name: d.choices for name, d in SPACE.distributions().items()}
        super().__init__(choices, seed=0)
        self._all_grids.sort()
