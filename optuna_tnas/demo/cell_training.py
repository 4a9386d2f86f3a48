"""One cheap, repeatable training of a NAS-Bench-201 cell on an image set."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
import math
from time import perf_counter

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.functional import interpolate

from optuna_tnas.demo.networks import NASBench201Network
from optuna_tnas.errors import DatasetError


# Log loss of one image is at most -log(1e-7), about 16, so that no single one decides.
_MIN_LOG_PROBABILITY = math.log(1e-7)
_EVALUATION_BATCH = 250


@dataclass(frozen=True)
class Recipe:
    """How a cell is trained; the defaults were chosen in ``benchmarks/results/recipe.md``.

    Attributes:
        width: Channels of the first stage.
        cells_per_stage: Cells in each of the three stages.
        resolution: Height and width in pixels that images are resized to; 4 or more.
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Of SGD with Nesterov momentum 0.9, annealed to 0 along a cosine.
        weight_decay: Of SGD.
        max_images: Training images at most; of more, a fixed random part is used.
    """

    width: int = 8
    cells_per_stage: int = 1
    resolution: int = 16
    epochs: int = 4
    batch_size: int = 64
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    max_images: int = 2500


@dataclass(frozen=True)
class Result:
    """What one training gave.

    Attributes:
        log_loss: Mean cross-entropy on the held-out images, in nats; always finite, lower is
            better. A network that diverged has about 16.
        accuracy: Share of the held-out images classified correctly, 0 to 1.
        seconds: Wall time of training and evaluation.
        n_parameters: Trainable weights of the network.
        curve: The log loss after each epoch; the last one is ``log_loss``.
    """

    log_loss: float
    accuracy: float
    seconds: float
    n_parameters: int
    curve: tuple[float, ...] = ()


def train_and_evaluate(
    ops: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    split: np.ndarray,
    recipe: Recipe,
    seed: int,
    device: torch.device | str | None = None,
    report: Callable[[int, float], None] | None = None,
) -> Result:
    """Train the network of a cell and measure it on the held-out images, after each epoch.

    On a CPU the result is the same for the same seed and number of threads. PyTorch's global
    random state is left as it was.

    Args:
        ops: The operation names of ``op_0_1, op_0_2, op_1_2, op_0_3, op_1_3, op_2_3``.
        images: ``N x H x W x C`` uint8.
        labels: ``N`` integers from 0.
        split: ``N``: 0 for training, 1 for held-out images.
        recipe: How to train.
        seed: Decides the initial weights and the order of the images.
        device: The CPU unless given.
        report: Called after each epoch with its number, from 1, and the log loss; what it raises
            ends the training.

    Raises:
        DatasetError: If the arrays do not fit each other or one part is empty.
        SpaceError: If ``ops`` are not six operations of NAS-Bench-201.
    """
    _check(images, labels, split)
    start = perf_counter()
    device = torch.device(device or "cpu")
    positions, held_out = parts(split, recipe.max_images)
    x, mean, std = normalized(images[positions], recipe.resolution)
    x_held_out, _, _ = normalized(images[held_out], recipe.resolution, mean, std)
    y, y_held_out = (torch.from_numpy(labels[i].astype(np.int64)) for i in (positions, held_out))
    held_out_images = x_held_out.to(device), y_held_out.to(device)
    curve = []
    training = train(ops, x.to(device), y.to(device), int(labels.max()) + 1, recipe, seed)
    with closing(training):
        for epoch, network in enumerate(training, start=1):
            log_loss, accuracy = measure(network, *held_out_images)
            curve.append(log_loss)
            if report is not None:
                report(epoch, log_loss)
    n_parameters = sum(p.numel() for p in network.parameters())
    seconds = perf_counter() - start
    return Result(log_loss, accuracy, seconds, n_parameters, tuple(curve))


def train(
    ops: Sequence[str],
    x: torch.Tensor,
    y: torch.Tensor,
    n_classes: int,
    recipe: Recipe,
    seed: int,
) -> Generator[NASBench201Network, None, None]:
    """Train the network of a cell; yield it after each epoch.

    PyTorch's global random state is another one until the generator ends or is closed.

    Args:
        ops: As for :func:`train_and_evaluate`, as are ``recipe`` and ``seed``.
        x: Images, ``N x C x R x R`` as :func:`normalized` makes them.
        y: ``N`` int64 labels.
        n_classes: Number of logits.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        network = NASBench201Network(
            ops,
            x.shape[1],
            n_classes,
            width=recipe.width,
            cells_per_stage=recipe.cells_per_stage,
        )
        # A quarter faster on a CPU than channels first.
        network.to(x.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for _ in _epochs(network, x, y, recipe):
            yield network


def _epochs(
    network: NASBench201Network, x: torch.Tensor, y: torch.Tensor, recipe: Recipe
) -> Iterator[None]:
    """Train; yield at the end of each epoch."""
    n_batches = max(1, len(x) // recipe.batch_size)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    steps = recipe.epochs * n_batches
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(recipe.epochs):
        network.train()
        # Split evenly: a last batch of one or two images would spoil the normalizations.
        for batch in torch.randperm(len(x)).tensor_split(n_batches):
            optimizer.zero_grad()
            batch = batch.to(x.device)
            cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
        yield


@torch.no_grad()
def measure(network: NASBench201Network, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Measure the mean clipped cross-entropy in nats, and the accuracy from 0 to 1."""
    network.eval()
    logits = torch.cat([network(batch) for batch in torch.split(x, _EVALUATION_BATCH)])
    diverged = ~logits.isfinite().all(dim=1, keepdim=True)
    log_p = logits.log_softmax(dim=1).masked_fill(diverged, _MIN_LOG_PROBABILITY)
    losses = -log_p.gather(1, y[:, None]).clamp(min=_MIN_LOG_PROBABILITY)
    correct = (log_p.argmax(dim=1) == y) & ~diverged[:, 0]
    return float(losses.double().mean()), float(correct.double().mean())


def parts(split: np.ndarray, max_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the positions of the training images, at most so many, and of the held-out ones."""
    train = np.flatnonzero(split == 0)
    if len(train) > max_images:
        # One part for all seeds: which images a cell sees is no property of the cell.
        train = np.random.default_rng(0).permutation(train)[:max_images]
    return train, np.flatnonzero(split == 1)


def normalized(
    images: np.ndarray,
    resolution: int,
    mean: torch.Tensor | None = None,
    std: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Resize and standardize ``N x H x W x C`` uint8 images.

    Returns:
        ``N x C x R x R`` float32, and each channel's mean and deviation: its own unless given.
    """
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    x = interpolate(x, (resolution, resolution), mode="bilinear", antialias=True)
    if mean is None or std is None:
        mean = x.mean(dim=(0, 2, 3), keepdim=True)
        std = x.std(dim=(0, 2, 3), keepdim=True).clamp(min=1e-3)
    return (x - mean) / std, mean, std


def _check(images: np.ndarray, labels: np.ndarray, split: np.ndarray) -> None:
    if images.ndim != 4 or images.dtype != np.uint8:
        raise DatasetError(
            f"Images are {images.dtype} of shape {images.shape}; give uint8 of N x H x W x C."
        )
    if labels.shape != (len(images),) or split.shape != (len(images),):
        raise DatasetError(
            f"{len(images)} images have labels of shape {labels.shape} and a split of shape "
            f"{split.shape}; give one of each per image."
        )
    for part, name in enumerate(("training", "held-out")):
        if not (split == part).any():
            raise DatasetError(f"There are no {name} images: none has {part} in split.")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DatasetError("Labels must be integers from 0; map the class names to 0, 1, 2, ...")
