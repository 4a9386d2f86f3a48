"""The default without what the past studies predict: no prior mean, the warm-start set first."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._parts import without_past
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(without_past(setting), seed=setting.seed)
