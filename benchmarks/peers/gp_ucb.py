"""Bayesian optimization without transfer: a GP on the choices and an upper confidence bound.

As :mod:`benchmarks.peers.gp_ei`, but the candidate with the largest mean + 2 standard deviations
is next, which is ``beta=4`` of botorch's ``UpperConfidenceBound``. Srinivas et al., "Gaussian
Process Optimization in the Bandit Setting" (ICML 2010), have 2.2 at the first and 2.8 at the 50th
of 15,625 candidates (delta = 0.1, their beta divided by 5 as in their experiments).

Only its acquisition is its own; for the model's check see ``gp_ei``.
"""

import numpy as np
from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._gp import bayesian_optimization
from benchmarks.peers._sequential import random_initial


def sampler(setting: Setting) -> BaseSampler:
    initial = random_initial(setting.space, 5, setting.seed)
    return bayesian_optimization(setting.space, _upper_bound, initial, setting.seed)


def _upper_bound(mean: np.ndarray, variance: np.ndarray, best: float) -> np.ndarray:
    return np.asarray(mean + 2 * np.sqrt(variance))
