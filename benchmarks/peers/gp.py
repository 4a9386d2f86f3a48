"""Optuna's Gaussian process sampler, with Optuna's settings."""

from optuna.samplers import BaseSampler
from optuna.samplers import GPSampler

from benchmarks.peers import Setting


def sampler(setting: Setting) -> BaseSampler:
    return GPSampler(seed=setting.seed)
