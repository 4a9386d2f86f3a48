"""TNAS as published, but the initial architectures are random."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._meta import meta_trained
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    surrogate = meta_trained(setting, "paper")
    surrogate.warm_start = surrogate.warm_start[:0]
    return TNASSampler(surrogate, seed=setting.seed)
