"""Meta-training: REPTILE on the GP's negative log marginal likelihood.

TNAS (Shala et al., ICLR 2023) with the outer update of Nichol et al., "On first-order
meta-learning algorithms" (2018). Gradients go end to end through psi, phi, xi and the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from optuna_tnas.config import Config
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.errors import HistoryError
from optuna_tnas.meta.warm_start import choose_warm_starts
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.evidence import negative_log_likelihood as marginal_likelihood
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.past import PastStudies
from optuna_tnas.surrogate.unfinished import Agreement


# With fewer tasks, early stopping watches held-out trials instead of held-out tasks.
_ENOUGH_TASKS = 5
_MAX_HELD_OUT_TASKS = 50
_MAX_HELD_OUT_TRIALS = 100  # per task
# Tasks in a mini-batch. Pairs of tasks whose data sets are unknown teach the kernel only beside
# others of the same task, so a batch must not be spread over too many.
_MAX_BATCH_TASKS = 50
_MAX_SCALE_POINTS = 200_000  # that the points' mean and deviation are computed from, or few more

Watch = Callable[[int, float], None]


def meta_train(
    history: MetaDataset,
    *,
    preset: str = "default",
    config: Config | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> MetaSurrogate:
    """Learn a surrogate from past studies.

    It is computed with one CPU thread, so that the same seed gives the same surrogate whatever
    number of threads PyTorch has; on a GPU, as far as the GPU repeats its results.

    Args:
        history: The past studies.
        preset: ``"default"`` or ``"paper"``.
        config: Sizes and rates, instead of a preset.
        seed: Of the initial weights and the mini-batches.
        device: Where the encoders are trained, the CPU unless given.
        progress: Whether to show a progress bar; unless given, on a terminal only.

    Raises:
        HistoryError: If the data set samples of the history differ in width.
    """
    surrogate = untrained(history, config or Config.preset(preset), seed)
    train(surrogate.to(device or "cpu"), history, seed=seed, progress=progress)
    return surrogate


def untrained(history: MetaDataset, config: Config, seed: int) -> MetaSurrogate:
    """A new surrogate for the history's space and data sets.

    Raises:
        HistoryError: If the data set samples of the history differ in width.
    """
    return MetaSurrogate(history.space, config, n_features=_n_features(history), seed=seed)


def train(
    surrogate: MetaSurrogate, history: MetaDataset, *, seed: int, progress: bool | None
) -> None:
    """Let a new surrogate learn from past studies; arguments as for :func:`meta_train`."""
    losses = train_kernel(surrogate, history, seed=seed, progress=progress)
    with controlled_numerics():
        if surrogate.config.uses_past:
            surrogate.past = past_studies(surrogate, history)
        surrogate.metrics = history.metrics
        surrogate.warm_starts = choose_warm_starts(surrogate, history)
    with_curves = [(task.curves, task.y) for task in history.tasks if task.curves]
    surrogate.agreement = Agreement.of(with_curves)
    surrogate.provenance = {
        "tasks": dict(zip(history.labels, [len(t.y) for t in history.tasks], strict=True)),
        "trials": history.n_trials,
        "left out": dict(history.left_out),
        "data sets known": sum(task.dataset is not None for task in history.tasks),
        "seed": seed,
        "losses": losses,
        "versions": {
            name: version(name) for name in ("optuna-tnas", "optuna", "torch", "botorch")
        },
    }


def past_studies(surrogate: MetaSurrogate, history: MetaDataset) -> PastStudies:
    """Condition a GP on each past study, under a surrogate's kernels."""
    studies = [(task.X, task.y, task.dataset) for task in history.tasks]
    known = history.hyperparameters
    beside = (known, [task.coordinates(known) for task in history.tasks]) if len(known) else None
    positions = {metric: position for position, metric in enumerate(history.metrics)}
    metrics = [positions[task.metric] for task in history.tasks]
    return PastStudies.fit(surrogate.network, surrogate.structure, studies, beside, metrics)


def train_kernel(
    surrogate: MetaSurrogate,
    history: MetaDataset,
    *,
    seed: int,
    progress: bool | None,
    watch: Watch | None = None,
) -> dict[str, float]:
    """Meta-train the encoders and the kernel with REPTILE.

    Args:
        surrogate: A new surrogate; it is trained in place and left frozen.
        history: The past studies.
        seed: Seed of the mini-batches and of the choice of the held-out pairs.
        progress: Whether to show a progress bar; None: on a terminal only.
        watch: Called after every evaluation of the held-out loss with the number of outer updates
            and the lowest loss so far; an exception ends the training.

    Returns:
        The losses by name; ``"held out"`` is the lowest one, of the weights that are kept.
    """
    rng = np.random.default_rng(seed)
    pairs = [Pairs.of(task) for task in history.tasks]
    trained_on, held_out = hold_out(pairs, surrogate.config, rng)
    surrogate.network.requires_grad_(True).train()
    with controlled_numerics():
        set_feature_scale(surrogate, history)
        evaluate = partial(held_out_loss, surrogate, held_out)
        losses = reptile(surrogate, trained_on, evaluate, rng, progress=progress, watch=watch)
    surrogate.network.requires_grad_(False).eval()
    return losses


@dataclass(frozen=True)
class Pairs:
    """A task's (architecture, data set) pairs with standardized outcomes.

    Attributes:
        task: The task, for its data set and metric.
        X: ``n x P`` int64 architectures.
        y: ``n`` standardized outcomes, higher is better.
    """

    task: Task
    X: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, task: Task) -> Pairs:
        """All trials of a task."""
        return cls(task, task.X, scale_labels(task.y))

    def take(self, indices: np.ndarray) -> Pairs:
        """The pairs at ``k`` indices."""
        return Pairs(self.task, self.X[indices], self.y[indices])


def _n_features(history: MetaDataset) -> int:
    widths = {t.name: t.dataset.n_features for t in history.tasks if t.dataset is not None}
    if len(set(widths.values())) > 1:
        raise HistoryError(
            f"The past data sets are described by different numbers of features, {widths}; "
            "describe all of them the same way."
        )
    return next(iter(widths.values()), N_FEATURES)


def set_feature_scale(surrogate: MetaSurrogate, history: MetaDataset) -> None:
    """Standardize the points by the statistics of all past data sets."""
    points = [task.dataset.points for task in history.tasks if task.dataset is not None]
    if points:
        step = 1 + sum(map(len, points)) // _MAX_SCALE_POINTS
        everything = torch.from_numpy(np.concatenate([p[::step] for p in points]))
        encoder = surrogate.network.dataset_encoder
        encoder.feature_mean.copy_(everything.mean(dim=0))
        encoder.feature_scale.copy_(everything.std(dim=0).clamp_min(1e-3))


def hold_out(
    pairs: Sequence[Pairs], config: Config, rng: np.random.Generator
) -> tuple[list[Pairs], list[Pairs]]:
    """Split the history into pairs to train on and pairs for early stopping.

    Whole tasks are held out, at most 50, of each at most 100 trials; of fewer than five tasks,
    trials of each.
    """
    if len(pairs) >= _ENOUGH_TASKS:
        return _hold_out_tasks(pairs, config.held_out, rng)
    return _hold_out_trials(pairs, config.held_out, rng)


def _hold_out_tasks(
    pairs: Sequence[Pairs], share: float, rng: np.random.Generator
) -> tuple[list[Pairs], list[Pairs]]:
    order = rng.permutation(len(pairs))
    n = min(max(1, round(share * len(pairs))), _MAX_HELD_OUT_TASKS)
    first = np.arange(_MAX_HELD_OUT_TRIALS)
    held_out = [pairs[i].take(first[: len(pairs[i].y)]) for i in order[:n]]
    return [pairs[i] for i in sorted(order[n:])], held_out


def _hold_out_trials(
    pairs: Sequence[Pairs], share: float, rng: np.random.Generator
) -> tuple[list[Pairs], list[Pairs]]:
    train, held_out = [], []
    for p in pairs:
        order = rng.permutation(len(p.y))
        n = min(round(share * len(p.y)), _MAX_HELD_OUT_TRIALS)
        train.append(p.take(order[n:]))
        held_out.append(p.take(order[:n]))
    return train, [p for p in held_out if len(p.y) > 1] or train


def sample_batch(train: Sequence[Pairs], size: int, rng: np.random.Generator) -> list[Pairs]:
    """Draw a mini-batch, uniform over the tasks or 50 random ones of them, without repeats.

    Args:
        train: Pairs by task.
        size: Number of pairs; fewer if a task has fewer than are drawn of it.
        rng: Draws the numbers of pairs by task, and the pairs.
    """
    if len(train) > _MAX_BATCH_TASKS:
        train = [train[i] for i in rng.choice(len(train), _MAX_BATCH_TASKS, replace=False)]
    counts = rng.multinomial(size, np.full(len(train), 1 / len(train)))
    return [
        pairs.take(rng.permutation(len(pairs.y))[:count])
        for pairs, count in zip(train, counts, strict=True)
        if count > 0
    ]


class EarlyStopping:
    """Remembers the weights with the lowest held-out loss, and when that was.

    Args:
        surrogate: The surrogate that is trained.
        evaluate: Gives its present held-out loss.

    Attributes:
        loss: The latest held-out loss.
        best: The lowest one.
        n_worse: Number of evaluations since the lowest one.
    """

    def __init__(self, surrogate: MetaSurrogate, evaluate: Callable[[], float]) -> None:
        self._surrogate = surrogate
        self._evaluate = evaluate
        self.loss = self.best = evaluate()
        self.n_worse = 0
        self._best_state = _copied_state(surrogate)

    def update(self) -> None:
        """Evaluate the held-out loss; keep a copy of the weights if it is the lowest."""
        self.loss = self._evaluate()
        self.n_worse += 1
        if self.loss < self.best:
            self.best, self.n_worse = self.loss, 0
            self._best_state = _copied_state(self._surrogate)

    def restore(self) -> None:
        """Give the surrogate the weights with the lowest loss."""
        self._surrogate.network.load_state_dict(self._best_state)


def _copied_state(surrogate: MetaSurrogate) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in surrogate.network.state_dict().items()}


def reptile(
    surrogate: MetaSurrogate,
    train: Sequence[Pairs],
    evaluate: Callable[[], float],
    rng: np.random.Generator,
    *,
    progress: bool | None = False,
    watch: Watch | None = None,
) -> dict[str, float]:
    """Run REPTILE until the held-out loss stops falling; keep the weights with the lowest one.

    Args:
        surrogate: Trained in place.
        train: Pairs by task.
        evaluate: Gives the surrogate's present held-out loss.
        rng: Draws the mini-batches.
        progress: Whether to show a progress bar; None: on a terminal only.
        watch: Called after every evaluation with the number of outer updates and the lowest
            held-out loss so far.

    Returns:
        The losses ``"train"``, ``"held out before"`` and ``"held out"``, and ``"outer steps"``.
    """
    config = surrogate.config
    optimizer = torch.optim.Adam(surrogate.network.parameters(), lr=config.inner_rate)
    stopping = EarlyStopping(surrogate, evaluate)
    first, loss, step = stopping.best, float("nan"), 0
    with _progress_bar(config.outer_steps, progress) as bar:
        while step < config.outer_steps and stopping.n_worse < config.patience:
            loss = outer_update(surrogate, optimizer, train, rng)
            step += 1
            bar.update()
            if step % config.evaluate_every == 0 or step == config.outer_steps:
                stopping.update()
                bar.set_postfix(loss=f"{loss:.3f}", held_out=f"{stopping.loss:.3f}")
                if watch is not None:
                    watch(step, stopping.best)
    stopping.restore()
    losses = {"train": loss, "held out before": first, "held out": stopping.best}
    return {**losses, "outer steps": float(step)}


def _progress_bar(total: int, progress: bool | None) -> tqdm[NoReturn]:
    hide = None if progress is None else not progress  # None: hidden unless on a terminal
    return tqdm(total=total, desc="meta-training", disable=hide)


def outer_update(
    surrogate: MetaSurrogate,
    optimizer: torch.optim.Optimizer,
    train: Sequence[Pairs],
    rng: np.random.Generator,
) -> float:
    """Update the weights by ``w <- w + epsilon (w' - w)``, ``w'`` after the inner Adam steps.

    Returns:
        The loss of the last mini-batch.
    """
    config, loss = surrogate.config, float("nan")
    slow = [p.detach().clone() for p in surrogate.network.parameters()]
    for _ in range(config.inner_steps):
        loss = inner_step(surrogate, optimizer, sample_batch(train, config.batch_size, rng), rng)
    with torch.no_grad():
        for p, w in zip(surrogate.network.parameters(), slow, strict=True):
            p.copy_(w + config.outer_rate * (p - w))
    return loss


def inner_step(
    surrogate: MetaSurrogate,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Pairs],
    rng: np.random.Generator,
) -> float:
    """Take one optimizer step on a mini-batch, gradients clipped at norm 10; return its loss."""
    optimizer.zero_grad()
    loss = negative_log_likelihood(surrogate, batch, rng)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(surrogate.network.parameters(), 10.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def held_out_loss(surrogate: MetaSurrogate, held_out: Sequence[Pairs]) -> float:
    """The mean loss over the held-out tasks, each a GP of its own as in a search."""
    losses = [
        negative_log_likelihood(surrogate, [pairs], np.random.default_rng(0)) for pairs in held_out
    ]
    return float(torch.stack(losses).mean())


def negative_log_likelihood(
    surrogate: MetaSurrogate, batch: Sequence[Pairs], rng: np.random.Generator
) -> Tensor:
    """The GP's negative log marginal likelihood per pair.

    Pairs of one metric whose data sets are known form one joint GP, as in the paper. Of a task
    without a data set nothing says how it relates to the others, so it is a GP of its own.

    Args:
        surrogate: The surrogate.
        batch: Pairs by task.
        rng: Draws the data sets' points.
    """
    encoded = _encode(surrogate, batch, rng)
    known: dict[str | None, list[tuple[Tensor, Tensor]]] = {}
    for pairs, e in zip(batch, encoded, strict=True):
        if pairs.task.dataset is not None:
            known.setdefault(pairs.task.metric, []).append(e)
    alone = [e for pairs, e in zip(batch, encoded, strict=True) if pairs.task.dataset is None]
    joint = [
        (torch.cat([Z for Z, _ in group]), torch.cat([y for _, y in group]))
        for group in known.values()
    ]
    losses = [_gp_loss(surrogate, Z, y) for Z, y in (*joint, *alone)]
    return torch.stack(losses).sum() / sum(len(pairs.y) for pairs in batch)


def _encode(
    surrogate: MetaSurrogate, batch: Sequence[Pairs], rng: np.random.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Each task's latents ``n x M`` and labels ``n``; psi and phi see the whole batch at once."""
    sizes = [len(pairs.y) for pairs in batch]
    architectures = surrogate.network.encode_architectures(np.concatenate([p.X for p in batch]))
    datasets = surrogate.network.encode_datasets([p.task.dataset for p in batch], rng)
    repeats = torch.tensor(sizes, device=surrogate.network.device)
    joint = torch.cat([architectures, datasets.repeat_interleave(repeats, dim=0)], dim=-1)
    labels = [torch.from_numpy(p.y).to(surrogate.network.device) for p in batch]
    return list(zip(surrogate.network.kernel.encode(joint).split(sizes), labels, strict=True))


def _gp_loss(surrogate: MetaSurrogate, Z: Tensor, y: Tensor) -> Tensor:
    """Of one GP with latents ``n x M`` and labels ``n``."""
    covariance = surrogate.network.kernel.base_kernel(Z).to_dense()
    noise = surrogate.network.likelihood.noise * torch.eye(len(Z), dtype=Z.dtype, device=Z.device)
    return marginal_likelihood(covariance + noise, y - surrogate.network.mean.constant)
