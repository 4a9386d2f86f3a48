"""The default without the kernel on structure."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._parts import without_structure
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(without_structure(setting), seed=setting.seed)
