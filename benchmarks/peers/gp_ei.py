"""Bayesian optimization without transfer: a GP on the choices and expected improvement.

Botorch's model and settings (see :mod:`benchmarks.peers._gp`), the logarithm of expected
improvement in closed form over all untried candidates, after 5 random architectures.

Check: on TransNAS-Bench-101 micro (results/tables.md, four seeds) regret .552/.345/.256/.138 after
5/10/20/50 evaluations. A prototype with a Hamming kernel, measured elsewhere with other seeds:
.50/.34/.25/.19.
"""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._gp import bayesian_optimization
from benchmarks.peers._gp import log_expected_improvement
from benchmarks.peers._sequential import random_initial


def sampler(setting: Setting) -> BaseSampler:
    initial = random_initial(setting.space, 5, setting.seed)
    return bayesian_optimization(setting.space, log_expected_improvement, initial, setting.seed)
