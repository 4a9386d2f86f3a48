"""Random search."""

from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler

from benchmarks.peers import Setting


def sampler(setting: Setting) -> BaseSampler:
    return RandomSampler(seed=setting.seed)
