"""NASBOWL that starts from the past: ``nasbowl`` with another start.

Its 5 first architectures are the past studies' best ones, as those of ``warm_gp``. No figures are
published. Check, with the command of ``nasbowl``: test accuracy 94.05 after 10 evaluations and
94.28 after 50, where ``nasbowl`` has 92.88 and 94.19.
"""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._nasbowl import Nasbowl
from benchmarks.peers._sequential import best_of_past
from benchmarks.peers._sequential import SequentialSampler


def sampler(setting: Setting) -> BaseSampler:
    initial = best_of_past(setting.history, setting.space, 5)
    return SequentialSampler(setting.space, Nasbowl(setting.space), initial, setting.seed)
