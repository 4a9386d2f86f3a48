"""The default without the deep kernel: past studies and structure alone."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._parts import without_deep_kernel
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(without_deep_kernel(setting), seed=setting.seed)
