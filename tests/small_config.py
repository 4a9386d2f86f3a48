"""Small networks, so that tests take no time."""

from __future__ import annotations

from optuna_tnas import Config


SMALL = Config(
    architecture_hidden=8,
    architecture_dim=8,
    dataset_width=8,
    dataset_heads=2,
    dataset_dim=4,
    joint_layers=(16, 8),
    n_warm_start=3,
)

# One step of meta-training, on few points of each data set.
BRIEF = Config(
    outer_steps=1, inner_steps=1, batch_size=16, architecture_hidden=8, points_per_class=3
)
