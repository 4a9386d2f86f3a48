"""NASBOWL (Ru et al., "Interpretable Neural Architecture Search via Bayesian Optimisation with
Weisfeiler-Lehman Kernels", ICLR 2021).

A Gaussian process with a kernel on graphs: the normalized dot product of Weisfeiler-Lehman subtree
counts. The next architecture is that of the largest expected improvement among 200 candidates.

Settings, from the authors' code (github.com/xingchenwan/nasbowl) and its README's command for
NAS-Bench-201: 10 random architectures first; 20 mutants of each of the 10 best, filled up with
random ones where they repeat; the values are minus the logarithm of the error, standardized; unit
signal variance; noise variance at most 0.01; height and noise by marginal likelihood; a vertex's
neighbors are those that read it; skip connections and dead operations are taken out of the graph.

Other than there: one evaluation at a time, not five; a mutant differs in one choice, not in 1.2 on
average; height 0 is tried too, beside 1 and 2; values that are no percentages have no logarithm.

Check, `--space nasbench201 --target c10 --seeds 5 --trials 100`, and the report's `--tasks`: test
accuracy 94.19 after 50 and, in every search, 94.30 after 100 evaluations, that of the best
validation accuracy there is. Published (TNAS's authors): 94.34 after 100.
"""

from optuna.samplers import BaseSampler

from benchmarks.peers import Setting
from benchmarks.peers._nasbowl import Nasbowl
from benchmarks.peers._sequential import random_initial
from benchmarks.peers._sequential import SequentialSampler


def sampler(setting: Setting) -> BaseSampler:
    initial = random_initial(setting.space, 10, setting.seed)
    return SequentialSampler(setting.space, Nasbowl(setting.space), initial, setting.seed)
