"""The default surrogate without one of its parts; the weights stay those of meta-training."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch import Tensor

from benchmarks.peers import Setting
from benchmarks.peers._meta import meta_trained
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.meta.training import past_studies
from optuna_tnas.search import informative
from optuna_tnas.surrogate.meta_surrogate import transfer_model
from optuna_tnas.surrogate.transfer import RELATED


_ENDLESS = 1 << 62  # trials


class _NoLatents(nn.Module):
    """In the place of xi: all architectures are alike to the deep kernel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(*x.shape[:-1], self._width)


class _NoStructure:
    """In the place of the structure's encoder, the same for the structure's kernel."""

    width = 1

    def __call__(self, X: np.ndarray) -> Tensor:
        return torch.zeros(len(X), 1, dtype=torch.double)


def without_mixture(setting: Setting) -> MetaSurrogate:
    """The trials do not decide whether the past says anything, only how much and what."""
    surrogate = meta_trained(setting, "default")
    surrogate.model = partial(transfer_model, hypotheses=(RELATED,))
    return surrogate


def without_past(setting: Setting) -> MetaSurrogate:
    """Nothing is predicted; the search begins with the warm-start set."""
    surrogate = meta_trained(setting, "default")
    surrogate.past = None
    return surrogate


def without_cover(setting: Setting) -> MetaSurrogate:
    """After the best by the prediction, trials decide, however much the past studies disagree."""
    surrogate = meta_trained(setting, "default")
    surrogate.config = replace(surrogate.config, n_warm_start=1)
    return surrogate


def without_deep_kernel(setting: Setting) -> MetaSurrogate:
    """Neither the past studies' Gaussian processes nor the new one's have it."""
    surrogate = meta_trained(setting, "default")
    width = surrogate.config.joint_layers[-1]
    surrogate.network.kernel.network = _NoLatents(width)
    return _learned_anew(surrogate, setting)


def without_structure(setting: Setting) -> MetaSurrogate:
    """Neither the past studies' Gaussian processes nor the new one's have its kernel."""
    surrogate = meta_trained(setting, "default")
    vars(surrogate)["structure"] = _NoStructure()
    return _learned_anew(surrogate, setting)


class AllTrials(TNASSampler):
    """Conditions on every trial, however many there are."""

    def sample_relative(self, *args: Any) -> dict[str, Any]:
        with patch.object(informative, "_MAX_TRIALS", _ENDLESS):
            return super().sample_relative(*args)


def _learned_anew(surrogate: MetaSurrogate, setting: Setting) -> MetaSurrogate:
    history = MetaDataset.from_studies(setting.history, setting.space)
    surrogate.past = past_studies(surrogate, history)
    return surrogate
