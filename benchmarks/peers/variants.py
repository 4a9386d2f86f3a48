"""Methods that differ from another one in a part: one table of them all.

``tnas`` is TNASSampler with the default preset, ``tnas_paper`` with the preset ``paper``; both are
meta-trained on the history. ``tnas_untrained`` knows no past.
``default_no_*`` is ``tnas`` and ``ablation_*`` is ``tnas_paper`` without one part;
``tnas_all_trials`` conditions on every trial of a long search. ``random``, ``tpe`` and ``gp``
are Optuna's samplers with Optuna's settings (TPE is multivariate since Optuna 5); ``tpe_group`` is
TPE that splits the parameters into groups.
``gp_*`` and ``warm_gp`` are Bayesian optimization with botorch's model (see
:mod:`benchmarks.peers._gp`) on five initial architectures. ``warm_*`` start with the past studies'
best architectures, round robin over the studies: TNAS's start (Shala et al., ICLR 2023) without
its surrogate.

Checks (each with the command and the report's ``--tasks``):

- ``gp``, without OPTUNA_TNAS_DATA, ``--space nasbench201 --target all --seeds 10 --trials 50``:
  mean validation accuracy 91.38, 72.64 and 45.94 on c10, c100 and in16 after 50 evaluations.
  Measured elsewhere, 10 other seeds: 91.35, 72.62 and 46.09.
- ``gp_ei`` on TransNAS-Bench-101 micro (results/tables.md, four seeds): regret
  .552/.345/.256/.138 after 5/10/20/50 evaluations. A prototype with a Hamming kernel, measured
  elsewhere with other seeds: .50/.34/.25/.19. ``gp_ucb`` differs in the acquisition only.
- ``warm_gp`` there, ten seeds: .390/.266/.186/.131; the prototype: .39/.30/.24/.149.
- ``warm_nasbowl`` with the command of :mod:`benchmarks.peers.nasbowl`: test accuracy 94.05 after
  10 evaluations and 94.28 after 50, where ``nasbowl`` has 92.88 and 94.19. No figures are
  published.
"""

from __future__ import annotations

from collections.abc import Callable

from optuna.samplers import BaseSampler
from optuna.samplers import GPSampler
from optuna.samplers import RandomSampler
from optuna.samplers import TPESampler

from benchmarks.peers import _parts
from benchmarks.peers import Setting
from benchmarks.peers._flat import FlatSurrogate
from benchmarks.peers._gp import Acquisition
from benchmarks.peers._gp import bayesian_optimization
from benchmarks.peers._gp import log_expected_improvement
from benchmarks.peers._gp import upper_confidence_bound
from benchmarks.peers._joint import searched_space
from benchmarks.peers._meta import meta_trained
from benchmarks.peers._meta import trained
from benchmarks.peers._sequential import best_of_past
from benchmarks.peers._sequential import random_initial
from benchmarks.peers._sequential import SequentialSampler
from benchmarks.peers.nasbowl import Nasbowl
from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.datasets import N_FEATURES


Sampler = Callable[[Setting], BaseSampler]
Surrogate = Callable[[Setting], MetaSurrogate]


def _tnas(surrogate: Surrogate) -> Sampler:
    """Search with a surrogate made from the setting."""
    return lambda setting: TNASSampler(
        surrogate(setting), dataset=setting.dataset, seed=setting.seed
    )


def _untrained(setting: Setting) -> MetaSurrogate:
    """Know no past at all."""
    return MetaSurrogate(setting.space, seed=setting.seed)


def _paper_random_start(setting: Setting) -> MetaSurrogate:
    """Empty the warm-start set, so that the initial architectures are random."""
    surrogate = meta_trained(setting, "paper")
    surrogate.warm_starts = (surrogate.warm_starts[0][:0],)
    return surrogate


def _paper_untrained(setting: Setting) -> MetaSurrogate:
    """Keep the warm-start set but take random weights in place of meta-trained ones."""
    surrogate = MetaSurrogate(setting.space, Config.preset("paper"), seed=setting.seed)
    surrogate.warm_starts = (meta_trained(setting, "paper").warm_starts[0],)
    return surrogate


def _paper_flat(name: str, hidden: int) -> Surrogate:
    """Replace psi's graph encoder by one-hot choices, behind an MLP if ``hidden`` is not 0."""

    def surrogate(setting: Setting) -> MetaSurrogate:
        untrained = FlatSurrogate(setting.space, hidden, N_FEATURES, setting.seed)
        return trained(setting, untrained, name)

    return surrogate


def _gp(acquisition: Acquisition) -> Sampler:
    """Optimize the acquisition after five random architectures."""

    def sampler(setting: Setting) -> BaseSampler:
        space, seed = searched_space(setting), setting.seed
        return bayesian_optimization(space, acquisition, random_initial(space, 5, seed), seed)

    return sampler


def _warm_gp(setting: Setting) -> BaseSampler:
    space = searched_space(setting)
    initial = best_of_past(setting.history, space, 5)
    return bayesian_optimization(space, log_expected_improvement, initial, setting.seed)


def _warm_nasbowl(setting: Setting) -> BaseSampler:
    initial = best_of_past(setting.history, setting.space, 5)
    return SequentialSampler(setting.space, Nasbowl(setting.space), initial, setting.seed)


VARIANTS: dict[str, Sampler] = {
    "random": lambda setting: RandomSampler(seed=setting.seed),
    "tpe": lambda setting: TPESampler(seed=setting.seed),
    "tpe_group": lambda setting: TPESampler(seed=setting.seed, multivariate=True, group=True),
    "gp": lambda setting: GPSampler(seed=setting.seed),
    "gp_ei": _gp(log_expected_improvement),
    "gp_ucb": _gp(upper_confidence_bound),
    "warm_gp": _warm_gp,
    "warm_nasbowl": _warm_nasbowl,
    "tnas": _tnas(lambda setting: meta_trained(setting, "default")),
    "tnas_untrained": _tnas(_untrained),
    "tnas_paper": _tnas(lambda setting: meta_trained(setting, "paper")),
    "ablation_random_start": _tnas(_paper_random_start),
    "ablation_untrained": _tnas(_paper_untrained),
    "ablation_onehot": _tnas(_paper_flat("onehot", hidden=0)),
    "ablation_mlp": _tnas(_paper_flat("mlp", hidden=512)),  # as wide as the GRU
    "tnas_all_trials": lambda setting: _parts.AllTrials(
        meta_trained(setting, "default"), seed=setting.seed
    ),
    "default_no_past": _tnas(_parts.without_past),
    "default_no_mixture": _tnas(_parts.without_mixture),
    "default_no_cover": _tnas(_parts.without_cover),
    "default_no_structure": _tnas(_parts.without_structure),
    "default_no_deep_kernel": _tnas(_parts.without_deep_kernel),
}
