"""Try candidates in the order of the past's mean prediction; no model of the new task.

For each past study a GP (see :mod:`benchmarks.peers._gp`) predicts every candidate, in standard
deviations from that study's mean; the candidates' average over the studies is their rank. Of a
space too large to list, candidates are 20,000 random architectures and each past study's ten
best with their neighbors. No paper's method, so there is no published figure, but what a surrogate
of the new task has to beat.
"""

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._gp import past_gps
from benchmarks.peers._sequential import best_first
from benchmarks.peers._sequential import best_of_past
from benchmarks.peers._sequential import everything


def sampler(setting: Setting) -> BaseSampler:
    pool = _candidates(setting)
    past = past_gps(setting.history, setting.space)
    predicted = np.mean([gp.predict(pool)[0] for gp in past], axis=0)
    return best_first(setting.space, pool, predicted, setting.seed)


def _candidates(setting: Setting) -> np.ndarray:
    space = setting.space
    if space.enumerable:
        return everything(space)[0]
    best = best_of_past(setting.history, space, 10 * len(setting.history), each=10)
    around = [space.neighbors(row) for row in best]
    drawn = space.sample(20_000, np.random.default_rng([setting.seed, 0]))
    return np.unique(np.concatenate([drawn, best, *around]), axis=0)
