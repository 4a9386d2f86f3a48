"""TNAS as published."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._meta import meta_trained
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(meta_trained(setting, "paper"), seed=setting.seed)
