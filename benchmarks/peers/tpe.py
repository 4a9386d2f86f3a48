"""Optuna's default: the tree-structured Parzen estimator, with Optuna's settings."""

from optuna.samplers import BaseSampler
from optuna.samplers import TPESampler

from benchmarks.peers import Setting


def sampler(setting: Setting) -> BaseSampler:
    return TPESampler(seed=setting.seed)
