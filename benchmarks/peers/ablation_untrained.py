"""TNAS as published without meta-learning: random weights, the same initial architectures."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._meta import meta_trained
from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    surrogate = MetaSurrogate(setting.space, Config.preset("paper"), seed=setting.seed)
    surrogate.warm_start = meta_trained(setting, "paper").warm_start
    return TNASSampler(surrogate, seed=setting.seed)
