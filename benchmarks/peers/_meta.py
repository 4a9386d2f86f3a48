"""Meta-training for a peer, kept so that a resumed run does not repeat it."""

from __future__ import annotations

from zlib import crc32

from benchmarks.peers import Setting
from optuna_tnas import checkpoint
from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas import MetaSurrogate


def meta_trained(setting: Setting, preset: str) -> MetaSurrogate:
    """The surrogate of a preset; trained again if the preset has changed since."""
    digest = crc32(repr(Config.preset(preset)).encode())
    path = setting.cache / f"{preset}-{digest:08x}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        history = MetaDataset.from_studies(setting.history, setting.space)
        meta_train(history, preset=preset, seed=setting.seed, progress=False).save(path)
    return checkpoint.load(path)
