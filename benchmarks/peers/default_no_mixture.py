"""The default without the GP to which the past says nothing."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._parts import without_mixture
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(without_mixture(setting), seed=setting.seed)
