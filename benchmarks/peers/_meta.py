"""Meta-training for a peer, kept so that a resumed run does not repeat it."""

from __future__ import annotations

from zlib import crc32

import torch

from benchmarks.peers import Setting
from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate
from optuna_tnas.meta.training import train


def meta_trained(setting: Setting, preset: str) -> MetaSurrogate:
    """The surrogate of a preset; trained again if the preset has changed since."""
    digest = crc32(repr(Config.preset(preset)).encode())
    path = setting.cache / f"{preset}-{digest:08x}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        history = past_of(setting)
        meta_train(history, preset=preset, seed=setting.seed, progress=False).save(path)
    return MetaSurrogate.load(path)


def trained(setting: Setting, surrogate: MetaSurrogate, name: str) -> MetaSurrogate:
    """A surrogate that no checkpoint describes, after training; ``name`` is its cache's."""
    path = setting.cache / f"{name}-{crc32(repr(surrogate.config).encode()):08x}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        history = past_of(setting)
        train(surrogate, history, seed=setting.seed, progress=False)
        learned = {
            "weights": surrogate.network.state_dict(),
            "warm_start": surrogate.warm_starts[0].tolist(),
        }
        torch.save(learned, path)
    learned = torch.load(path)
    surrogate.network.load_state_dict(learned["weights"])
    surrogate.warm_starts = (
        surrogate.space.canonical(torch.tensor(learned["warm_start"]).numpy()),
    )
    return surrogate


def past_of(setting: Setting) -> MetaDataset:
    """Convert the past studies, with their data sets where these are known."""
    samples = setting.samples or None
    return MetaDataset.from_studies(setting.history, setting.space, datasets=samples)
