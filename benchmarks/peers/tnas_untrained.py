"""TNASSampler without a history: the paper's "no meta-learning"."""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from optuna_tnas import TNASSampler


def sampler(setting: Setting) -> BaseSampler:
    return TNASSampler(space=setting.space, seed=setting.seed)
