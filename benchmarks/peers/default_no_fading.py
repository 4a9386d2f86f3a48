"""The default without the fading of the past: its predictions count alike after many trials."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._parts import without_fading
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(without_fading(setting), seed=setting.seed)
