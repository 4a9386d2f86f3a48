"""One-shot search: weights and alpha of a shared network learn in turns, batch by batch.

What the published searches on NAS-Bench-201 have in common: first-order bilevel optimization,
weights by SGD on training images, alpha by Adam on validation images. The methods differ in how a
pass uses alpha and in how the cell is derived; each is a module of its own, with its settings.
The weights' rate is the recipe's, .1, annealed to .001 along one cosine.
"""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from collections.abc import Collection
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from time import process_time
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.live.parts import Part
from benchmarks.live.parts import Parts
from benchmarks.live.supernet import Cell
from benchmarks.live.supernet import N_EDGES
from benchmarks.live.supernet import N_OPS
from benchmarks.live.supernet import SharedNetwork
from optuna_tnas.demo.cell_training import Recipe
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


_LAST_RATE = 0.001
_BETAS, _ALPHA_DECAY = (0.5, 0.999), 1e-3  # of Adam


@dataclass(frozen=True)
class Settings:
    """What the published searches do differently.

    Attributes:
        alpha_rate: Of Adam.
        weight_decay: Of the weights.
        alpha_first: Whether alpha learns before the weights.
        nesterov: Whether the weights' momentum of .9 is.
        clip: The weights' largest gradient norm, if there is one.
        partial: The operations read one of so many parts of the channels.
    """

    alpha_rate: float
    weight_decay: float
    alpha_first: bool
    nesterov: bool
    clip: float | None = 5.0
    partial: int = 1


class OneShot(ABC):
    """A method: how its passes use alpha, and which cell it derives.

    Args:
        network: The shared network.

    Attributes:
        alpha: Of each operation on each edge, ``6 x 5``.
    """

    settings: ClassVar[Settings]

    def __init__(self, network: SharedNetwork) -> None:
        self.network = network
        self.alpha = (0.001 * torch.randn(N_EDGES, N_OPS)).requires_grad_()

    @property
    def architecture(self) -> list[Tensor]:
        """What Adam learns."""
        return [self.alpha]

    def start(self, progress: float) -> None:  # noqa: B027
        """Begin an epoch; ``progress`` grows from 0 in the first one to 1 in the last."""

    @abstractmethod
    def weight_logits(self, x: Tensor) -> Tensor:
        """Compute the logits that the weights learn from; alpha is constant."""

    @abstractmethod
    def alpha_logits(self, x: Tensor) -> Tensor:
        """Compute the logits that alpha learns from."""

    def derive(self, validation: Part, ops: Collection[str]) -> Cell:
        """Take the operation of the largest alpha on each edge, of some operations."""
        allowed = torch.tensor([op in ops for op in NASBENCH201_OPS])
        best = self.alpha.detach().masked_fill(~allowed, -torch.inf).argmax(dim=1)
        return tuple(NASBENCH201_OPS[o] for o in best.tolist())


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        cells: The cell, and the one if ``none`` may not be in it: two derivations.
        cpu_seconds: Of the search with each derivation.
        wall_seconds: Of the search without them.
        alpha: ``6 x 5``.
    """

    cells: tuple[Cell, Cell]
    cpu_seconds: tuple[float, float]
    wall_seconds: float
    alpha: Sequence[Sequence[float]]


def search(method: type[OneShot], parts: Parts, recipe: Recipe, epochs: int, seed: int) -> Found:
    """Search from new weights; PyTorch's global random state is left as it was.

    Args:
        method: The method.
        parts: The image set; its test images are not read.
        recipe: Decides the network's width, the batches and the weights' first rate.
        epochs: Passes over the training images.
        seed: Of the weights, the batches, alpha and what the method draws.
    """
    cpu, wall = process_time(), perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        n_channels, partial = parts.train.x.shape[1], method.settings.partial
        network = SharedNetwork(n_channels, parts.n_classes, recipe.width, partial)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        chosen = method(network)
        _learn(chosen, parts, recipe, epochs)
        spent, wall = process_time() - cpu, perf_counter() - wall
        derived = [_timed(chosen, parts.validation, ops) for ops in _VOCABULARIES]
    (cell, a), (without_none, b) = derived
    alpha = chosen.alpha.detach().tolist()
    return Found((cell, without_none), (spent + a, spent + b), wall, alpha)


_VOCABULARIES = (NASBENCH201_OPS, tuple(op for op in NASBENCH201_OPS if op != "none"))


def _timed(method: OneShot, validation: Part, ops: Collection[str]) -> tuple[Cell, float]:
    start = process_time()
    return method.derive(validation, ops), process_time() - start


def _learn(method: OneShot, parts: Parts, recipe: Recipe, epochs: int) -> None:
    settings, train = method.settings, parts.train
    n_batches = max(1, len(train.x) // recipe.batch_size)
    weights = torch.optim.SGD(
        method.network.parameters(),
        lr=recipe.learning_rate,
        momentum=0.9,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        weights, T_max=epochs * n_batches, eta_min=_LAST_RATE
    )
    alpha = torch.optim.Adam(
        method.architecture, lr=settings.alpha_rate, betas=_BETAS, weight_decay=_ALPHA_DECAY
    )
    steps = [(_weight_step, weights), (_alpha_step, alpha)]
    if settings.alpha_first:
        steps.reverse()
    for epoch in range(epochs):
        method.start(epoch / max(1, epochs - 1))
        for batch in torch.randperm(len(train.x)).tensor_split(n_batches):
            for step, optimizer in steps:
                step(method, parts, batch, optimizer)
            schedule.step()


def _weight_step(
    method: OneShot, parts: Parts, batch: Tensor, optimizer: torch.optim.Optimizer
) -> None:
    x, y = parts.train.x[batch], parts.train.y[batch]
    weights = [*method.network.parameters()]
    _set_gradients(cross_entropy(method.weight_logits(x), y), weights)
    if method.settings.clip is not None:
        torch.nn.utils.clip_grad_norm_(weights, method.settings.clip)
    optimizer.step()


def _alpha_step(
    method: OneShot, parts: Parts, batch: Tensor, optimizer: torch.optim.Optimizer
) -> None:
    validation = parts.validation
    drawn = torch.randperm(len(validation.x))[: len(batch)]
    loss = cross_entropy(method.alpha_logits(validation.x[drawn]), validation.y[drawn])
    _set_gradients(loss, method.architecture)
    optimizer.step()


def _set_gradients(loss: Tensor, parameters: Sequence[Tensor]) -> None:
    """Differentiate by these parameters alone; those that the loss does not depend on get None."""
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
