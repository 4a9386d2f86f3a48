"""What all searches share: they ask the model about their inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from optuna_tnas.search.evolution import EvolutionarySearch
from optuna_tnas.search.exhaustive import ExhaustiveSearch
from optuna_tnas.search.search import Search
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.past import PastStudies


@pytest.mark.parametrize("kind", [ExhaustiveSearch, EvolutionarySearch])
def test_prior_mean_and_fit_are_the_models_on_plain_features(
    kind: type[Search],
    surrogate_of: Callable[[str], MetaSurrogate],
    task_of: Callable[..., Task],
) -> None:
    surrogate = surrogate_of("small")
    studies = [(task.X, task.y, task.dataset) for task in (task_of(0), task_of(1))]
    surrogate.past = PastStudies.fit(surrogate.network, surrogate.structure, studies)
    model = surrogate.study_model(None)
    search, X = kind(surrogate.space, model), task_of(2).X
    X = X[np.unique(surrogate.space.to_graphs(X).pruned().classes()[1], return_index=True)[1]]
    features, y = model.features(X), torch.from_numpy(np.linspace(-1, 1, len(X)))
    # Of equal networks a table holds the first one, whose choices may differ.
    first = features if kind is EvolutionarySearch else search._inputs.features(search.inputs(X))
    expected = first[:, model.features.blocks.predictions].sum(dim=1)
    torch.testing.assert_close(search.prior_mean(search.inputs(X), 0), expected)
    plain = model.fit(FeatureInputs(model.features.blocks), first, y)
    torch.testing.assert_close(
        search.fit(X, y, 0).mean(search.inputs(X)), plain.mean(first), rtol=1e-5, atol=1e-6
    )
