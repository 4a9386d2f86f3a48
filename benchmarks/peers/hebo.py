"""HEBO (Cowen-Rivers et al., "HEBO: Pushing The Limits of Sample-Efficient Hyper-parameter
Optimisation", JAIR 2022), as LeanHEBO 0.5.0 implements it: ``pip install leanhebo``.

A Gaussian process on warped values, and a candidate from the front of three acquisition functions,
found by NSGA-II. HEBO's own package wants a numpy older than 1.25, which this project cannot have.

Settings are HEBO's: Sobol points first, one more than there are parameters; a new model for every
suggestion, fitted in 100 steps; 100 generations of 100. Other than there: at most 10 Sobol points,
or 46 of 50 trials on MobileNetV3 would be such; LeanHEBO's kernel where there are conditions.

Check, without OPTUNA_TNAS_DATA, `--space nasbench201 --target c10 --seeds 5 --trials 50`, and the
report's `--tasks`: mean validation accuracy 89.76, 90.56 and 91.29 after 10, 20 and 50
evaluations. HEBO itself, measured elsewhere with 10 other seeds: 90.46, 90.72 and 91.26 after
10, 25 and 50.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._sequential import SequentialSampler
from optuna_tnas.spaces import Space


INITIAL = 10


def sampler(setting: Setting) -> BaseSampler:
    none = np.empty((0, len(setting.space.parameters)), dtype=np.int64)
    return SequentialSampler(setting.space, Hebo(setting.space, setting.seed), none, setting.seed)


class Hebo:
    """Tells LeanHEBO the trials that it does not know yet and asks it for the next one."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._names = [p.name for p in space.parameters]
        self._optimizer = _optimizer(space, seed)

    def __call__(self, X: np.ndarray, y: np.ndarray, _: np.random.Generator) -> np.ndarray:
        known = self._optimizer.observations
        if len(X) > known:
            self._optimizer.observe(self._records(X[known:]), -y[known:])  # HEBO minimizes
        (record,) = self._optimizer.suggest().to_records()
        return np.array([record.get(name, 0) for name in self._names], dtype=np.int64)

    def _records(self, X: np.ndarray) -> list[dict[str, int]]:
        """List active choices by name: LeanHEBO's form of conditional parameters."""
        return [
            {self._names[i]: int(row[i]) for i in np.flatnonzero(active)}
            for row, active in zip(X, self._space.active(X), strict=True)
        ]


def _optimizer(space: Space, seed: int) -> Any:
    """Make a LeanHEBO on the positions of the choices, which are of one type."""
    try:
        import leanhebo
        from leanhebo.space import Categorical
        from leanhebo.space import In
    except ImportError:
        raise ImportError("The peer hebo needs LeanHEBO: pip install leanhebo") from None
    names = [p.name for p in space.parameters]
    declared = leanhebo.space.Space(
        Categorical(
            p.name,
            tuple(range(len(p.choices))),
            active_when=In(names[p.active.parameter], p.active.choices) if p.active else None,
        )
        for p in space.parameters
    )
    # LeanHEBO would go on from the last fit; HEBO fits a new model each time.
    anew = leanhebo.GPConfig(
        full_refit_interval=1, reuse_parameters=False, reuse_optimizer_state=False
    )
    config = leanhebo.LeanHEBOConfig(
        random_samples=min(1 + len(names), INITIAL),
        runtime=leanhebo.RuntimeConfig(seed=seed),
        gp=anew,
    )
    return leanhebo.LeanHEBO(declared, config=config)
