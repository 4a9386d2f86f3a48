"""TNAS as published without its graph encoder: one-hot choices go straight into xi."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._flat import FlatSurrogate
from benchmarks.peers._meta import trained
from optuna_tnas import TNASSampler
from optuna_tnas.datasets import N_FEATURES


def sampler(setting: Setting) -> BaseSampler:
    surrogate = FlatSurrogate(setting.space, 0, N_FEATURES, setting.seed)
    return TNASSampler(trained(setting, surrogate, "onehot"), seed=setting.seed)
