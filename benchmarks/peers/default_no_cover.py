"""The default without the architectures that cover past studies which disagree."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._parts import without_cover
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(without_cover(setting), seed=setting.seed)
