"""Sizes and rates of the surrogate, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optuna_tnas.errors import OptunaTNASError


GPName = Literal["transfer", "published"]


@dataclass(frozen=True)
class Config:
    """Everything that shapes a surrogate and its meta-training.

    Attributes:
        architecture_hidden: State width of psi's two GRU cells.
        architecture_dim: Width L of psi's encoding.
        dataset_width: Width of phi's attention blocks; a multiple of ``dataset_heads``.
        dataset_heads: Attention heads in phi.
        dataset_dim: Width K of phi's encoding.
        max_classes: Classes drawn at most whenever phi reads a data set.
        points_per_class: Points drawn of each of them.
        joint_layers: Widths of xi's layers; the last one is the kernel's input width M.
        outer_steps: REPTILE's outer updates at most.
        inner_steps: Adam steps on mini-batches in each outer update.
        inner_rate: Adam's learning rate.
        outer_rate: Epsilon in ``w <- w + epsilon (w' - w)``.
        batch_size: (architecture, data set) pairs in a mini-batch.
        held_out: Share of the tasks (of each task's trials, if there are fewer than five tasks)
            that early stopping watches.
        evaluate_every: Outer updates between two looks at them.
        patience: Looks without improvement before meta-training ends.
        n_warm_start: Trials from the set of initial architectures, or at random without one. The
            default with past studies takes it only for workers that start together.
        gp: What models a study. ``"transfer"`` adds to the deep kernel a mean that the past
            studies predict and a kernel on the networks' structure, and fits their scales;
            ``"published"`` is the deep kernel alone, adapted by 50 Adam steps.
    """

    architecture_hidden: int = 64
    architecture_dim: int = 32
    dataset_width: int = 32
    dataset_heads: int = 4
    dataset_dim: int = 8
    max_classes: int = 20
    points_per_class: int = 20
    joint_layers: tuple[int, ...] = (64, 32)
    outer_steps: int = 200
    inner_steps: int = 5
    inner_rate: float = 1e-3
    outer_rate: float = 0.5
    batch_size: int = 128
    held_out: float = 0.2
    evaluate_every: int = 10
    patience: int = 5
    n_warm_start: int = 5
    gp: GPName = "transfer"

    @classmethod
    def preset(cls, name: str) -> Config:
        """``"default"``, or ``"paper"``: the sizes and the optimizer of TNAS as published.

        Raises:
            OptunaTNASError: If there is no preset of that name.
        """
        if name == "default":
            return cls()
        if name == "paper":
            return cls(
                architecture_hidden=512,
                architecture_dim=16,
                dataset_width=16,
                dataset_heads=4,
                dataset_dim=16,
                joint_layers=(99, 50, 179, 194),
                inner_steps=1,
                outer_rate=1.0,
                batch_size=64,
                gp="published",
            )
        raise OptunaTNASError(f"There is no preset {name!r}; choose 'default' or 'paper'.")
