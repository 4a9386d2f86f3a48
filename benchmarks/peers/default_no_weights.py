"""The default without the weights of single past studies: their mean counts as a whole."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._parts import without_weights
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(without_weights(setting), seed=setting.seed)
