"""Sizes and rates of the surrogate: each field with its meaning and its rule."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import fields
from functools import cache
import json
from math import isfinite
from pathlib import Path
from typing import Annotated
from typing import Any
from typing import get_args
from typing import get_type_hints
from typing import Literal

from optuna_tnas.errors import OptunaTNASError


GPName = Literal["default", "paper"]

# The names that checkpoints of version 3 and older config files have for them.
_STORED_GP = {"default": "transfer", "paper": "published"}


# --- rules ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """Which values of a field are possible.

    Attributes:
        allows: Whether a value is possible.
        wanted: The same in words, for the message.
    """

    allows: Callable[[Any], bool]
    wanted: str


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _whole(value) or (isinstance(value, float) and isfinite(value))


def _widths(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(_whole(v) and v > 0 for v in value)


Count = Annotated[int, Rule(lambda v: _whole(v) and v > 0, "a whole number above 0")]
CountOrZero = Annotated[int, Rule(lambda v: _whole(v) and v >= 0, "a whole number, 0 or more")]
Widths = Annotated[
    tuple[int, ...],
    Rule(_widths, "one or more whole numbers above 0, as a tuple (in JSON a list)"),
]
Rate = Annotated[float, Rule(lambda v: _number(v) and v > 0, "a number above 0")]
StepSize = Annotated[
    float, Rule(lambda v: _number(v) and 0 < v <= 1, "a number above 0 and at most 1")
]
Share = Annotated[float, Rule(lambda v: _number(v) and 0 < v < 1, "a number between 0 and 1")]
GP = Annotated[GPName, Rule(lambda v: v in get_args(GPName), f"one of {get_args(GPName)}")]


# --- the fields -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """Everything that shapes a surrogate and its meta-training.

    Raises:
        OptunaTNASError: If a value is not possible; the text names it and says what is.
    """

    # psi, the graph encoder of architectures
    architecture_hidden: Count = 64
    """State width of psi's two GRU cells."""
    architecture_dim: Count = 32
    """Width L of psi's encoding."""

    # phi, the Set Transformers over data sets
    dataset_width: Count = 32
    """Width of phi's attention blocks; a multiple of ``dataset_heads``."""
    dataset_heads: Count = 4
    """Number of attention heads in phi."""
    dataset_dim: Count = 8
    """Width K of phi's encoding."""
    max_classes: Count = 20
    """Maximum number of classes drawn whenever phi reads a data set."""
    points_per_class: Count = 20
    """Number of points drawn of each class."""

    # xi, the joint encoder
    joint_layers: Widths = (64, 32)
    """Widths of xi's layers; the last one is the kernel's input width M."""

    # meta-training
    outer_steps: Count = 200
    """Maximum number of REPTILE's outer updates."""
    inner_steps: Count = 5
    """Adam steps, each on a mini-batch, in an outer update."""
    inner_rate: Rate = 1e-3
    """Adam's learning rate."""
    outer_rate: StepSize = 0.5
    """Epsilon in REPTILE's update ``w <- w + epsilon (w' - w)``."""
    batch_size: Count = 128
    """Number of (architecture, data set) pairs in a mini-batch."""
    held_out: Share = 0.2
    """Share of the tasks held out for early stopping; of fewer than five tasks, of each one's
    trials."""
    evaluate_every: Count = 10
    """Outer updates between two evaluations of the held-out loss."""
    patience: Count = 5
    """Evaluations without improvement after which meta-training ends."""

    # the search
    n_warm_start: CountOrZero = 5
    """Trials from the warm-start set, or at random without one. With past studies the default
    takes at most this many, the fewer the more those studies agree."""
    gp: GP = "default"
    """Model of a study: ``"default"`` adds to the deep kernel a mean predicted from the past
    studies and a kernel on the networks' structure, and fits their scales; ``"paper"`` is the deep
    kernel alone, adapted by 50 Adam steps."""

    def __post_init__(self) -> None:
        for name, rule in _rules().items():
            value = getattr(self, name)
            if not rule.allows(value):
                raise OptunaTNASError(f"{name} cannot be {value!r}; give {rule.wanted}.")
        if self.dataset_width % self.dataset_heads:
            raise OptunaTNASError(
                f"dataset_width cannot be {self.dataset_width} with {self.dataset_heads} "
                "dataset_heads; give a multiple of the heads."
            )

    @property
    def uses_past(self) -> bool:
        """Whether the past studies predict for a new one."""
        return self.gp == "default"

    @property
    def searches_hyperparameters(self) -> bool:
        """Whether hyper-parameters beside the architecture are in the model; else at random."""
        return self.gp == "default"

    @property
    def learns_from_unfinished(self) -> bool:
        """Whether the reports of pruned and running trials are in the model."""
        return self.gp == "default"

    @classmethod
    def preset(cls, name: str) -> Config:
        """Give a config by name.

        Args:
            name: ``"default"``, or ``"paper"``: the sizes and the optimizer of the TNAS paper.

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
                gp="paper",
            )
        raise OptunaTNASError(f"There is no preset {name!r}; choose 'default' or 'paper'.")

    # --- plain data and files ---------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Give the fields as a checkpoint of version 3 holds them; :meth:`from_state` reads it."""
        return {**asdict(self), "gp": _STORED_GP[self.gp]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Config:
        """Make a config of plain data.

        Args:
            state: Values by field name; a field left out has its default. Lists stand for tuples,
                and ``gp`` may have the names that version 3 stores.

        Raises:
            OptunaTNASError: If a name or a value is not possible.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(state.keys() - set(known))
        if unknown:
            raise OptunaTNASError(f"there is no setting {unknown[0]!r}, only {known}.")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in state.items()
        }
        renamed = {stored: name for name, stored in _STORED_GP.items()}
        if isinstance(gp := values.get("gp"), str):
            values["gp"] = renamed.get(gp, gp)
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read a JSON file as :meth:`save` writes it; a field left out has its default.

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
        try:
            return cls.from_state(content)
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


@cache
def _rules() -> dict[str, Rule]:
    """Each field's rule, from its type."""
    hints = get_type_hints(Config, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in fields(Config)}
