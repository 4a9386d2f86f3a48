"""Sizes and rates of the surrogate, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import fields
import json
from math import isfinite
from pathlib import Path
from typing import Any
from typing import get_args
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
        n_warm_start: Trials from the set of initial architectures, or at random without one. With
            past studies the default takes at most as many, the fewer the more they agree.
        gp: What models a study. ``"transfer"`` adds to the deep kernel a mean that the past
            studies predict and a kernel on the networks' structure, and fits their scales;
            ``"published"`` is the deep kernel alone, adapted by 50 Adam steps.

    Raises:
        OptunaTNASError: If a value is not possible; the text names it and says what is.
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

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            possible, wanted = _RULES.get(field.name, _COUNT)
            if not possible(value):
                raise OptunaTNASError(f"{field.name} cannot be {value!r}; give {wanted}.")
        if self.dataset_width % self.dataset_heads:
            raise OptunaTNASError(
                f"dataset_width cannot be {self.dataset_width} with {self.dataset_heads} "
                "dataset_heads; give a multiple of the heads."
            )

    @property
    def uses_past(self) -> bool:
        """Whether the past studies predict for a new one."""
        return self.gp == "transfer"

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

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read a JSON file as :meth:`save` writes it; what it leaves out has its default.

        Raises:
            OptunaTNASError: If there is no such file, it is not a JSON object, or a name or a
                value in it is not possible.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise OptunaTNASError(f"{path} cannot be read as a config: {error}.") from error
        if not isinstance(content, dict):
            raise OptunaTNASError(f"{path} must hold one JSON object, not {content!r:.50}.")
        known = [field.name for field in fields(cls)]
        unknown = sorted(content.keys() - set(known))
        if unknown:
            raise OptunaTNASError(f"{path}: there is no setting {unknown[0]!r}, only {known}.")
        if isinstance(content.get("joint_layers"), list):
            content["joint_layers"] = tuple(content["joint_layers"])
        try:
            return cls(**content)
        except OptunaTNASError as error:
            raise OptunaTNASError(f"{path}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write a JSON file, which :meth:`load` reads.

        Raises:
            OptunaTNASError: If it cannot be written.
        """
        try:
            Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise OptunaTNASError(f"The config {path} cannot be written: {error}.") from error


_Rule = tuple[Callable[[Any], bool], str]  # what is possible, in code and in words


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _whole(value) or (isinstance(value, float) and isfinite(value))


def _widths(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(_whole(v) and v > 0 for v in value)


_COUNT: _Rule = (lambda v: _whole(v) and v > 0, "a whole number above 0")
_RULES: dict[str, _Rule] = {
    "joint_layers": (_widths, "one or more whole numbers above 0, as a tuple (in JSON a list)"),
    "inner_rate": (lambda v: _number(v) and v > 0, "a number above 0"),
    "outer_rate": (lambda v: _number(v) and 0 < v <= 1, "a number above 0 and at most 1"),
    "held_out": (lambda v: _number(v) and 0 < v < 1, "a number between 0 and 1"),
    "n_warm_start": (lambda v: _whole(v) and v >= 0, "a whole number, 0 or more"),
    "gp": (lambda v: v in get_args(GPName), f"one of {get_args(GPName)}"),
}
