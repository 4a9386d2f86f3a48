"""What the past studies predict, found once meta-training is done."""

from __future__ import annotations

import numpy as np
import torch

from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import normal_scores
from optuna_tnas.surrogate.past import Past
from optuna_tnas.surrogate.past import study_weights
from optuna_tnas.surrogate.past import USED


@torch.no_grad()
def past_of(surrogate: MetaSurrogate, history: MetaDataset) -> Past:
    """Condition a GP on each past study, under the meta-learned kernels."""
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.permutation(len(task.y))[:USED]) for task in history.tasks]
    datasets = [
        surrogate.encode_dataset(t.dataset, np.random.default_rng(0)) for t in history.tasks
    ]
    weights = []
    for task, kept in zip(history.tasks, rows, strict=True):
        inputs = surrogate.described(task.X[kept], task.dataset)
        y = torch.from_numpy(normal_scores(task.y[kept]))
        weights.append(study_weights(inputs, y, surrogate.n_latents))
    return Past(
        X=np.concatenate([t.X[kept] for t, kept in zip(history.tasks, rows, strict=True)]),
        task=np.repeat(np.arange(len(rows)), [len(kept) for kept in rows]),
        datasets=torch.stack(datasets).cpu(),
        weights=torch.cat(weights, dim=1),
    )
